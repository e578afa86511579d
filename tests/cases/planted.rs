//! Deliberate bugs that scripts find, where the simulator seldom or never does.
//!
//! Each script runs once more in a process of its own, with the bug planted in all it does, and must
//! fail there. By hand: `KVS_PLANT=SpreadFrees cargo test --all-features --test cases` shows which do.

use std::process::{Command, Stdio};

use kvs::planted::Bug;

/// What finds what.
const FOUND_BY: [(Bug, &str); 38] = [
    (Bug::AbsentReadsOnce, "quorums::c22_if_absent_has_at_most_one_winner"),
    (Bug::BarrierIsOpen, "rings::c07b_the_barrier_waits_for_writes_in_flight"),
    (Bug::BarrierSkipsReads, "reads::a_change_waits_for_strict_reads"),
    (Bug::ChangedHintForgotten, "narrow::a_hint_that_changes_while_it_is_delivered_stays"),
    (Bug::CleanupAfterOne, "fills::a_former_owner_drops_nothing_before_all_have_it"),
    (Bug::ClimbInRound, "rings::a_round_is_accepted_under_the_ballot_it_was_promised"),
    (Bug::ExactIsBlind, "reads::many_large_values_are_read_before_they_are_replaced"),
    (Bug::FillingProves, "files::c03d_filling_owners_prove_nothing_to_each_other"),
    (Bug::FullThoughLost, "fills::an_end_under_way_fills_nothing"),
    (Bug::HintBesideAck, "narrow::a_hint_does_not_count_beside_its_target"),
    (Bug::HintForgotten, "quorums::c09_an_old_hint_reaches_the_other_owners"),
    (Bug::HintReplaced, "narrow::a_fallback_keeps_both_of_two_writes_for_one_owner"),
    (Bug::JoinerIsFull, "files::c03c_a_regained_partition"),
    (Bug::KeepActorAfterContext, "narrow::a_context_ahead_of_the_own_copy_ends_minting"),
    (Bug::KeepActorAfterDrop, "fills::what_was_dropped_is_not_superseded"),
    (Bug::KeepActorAfterRot, "fills::what_rotted_is_not_superseded"),
    (Bug::LastWriteWins, "small::c19_a_merge_over_4_mib"),
    (Bug::LateMint, "ends::a_late_write_supersedes_nothing_that_was_written_after_it"),
    (Bug::LateWitness, "witness::a_late_witness_is_heard"),
    (Bug::LeaveWithHints, "quorums::c09_leaving_holder_hands_on"),
    (Bug::LossForgotten, "dots::c02_vanished_record"),
    (Bug::MixedDriver, "drivers::a_value_outlives_who_leaves_under_two_drivers"),
    (Bug::NoRestage, "fills::what_a_full_disk_refused_is_written_with_the_next"),
    (Bug::OldPassProves, "narrow::a_pass_that_began_before_a_loss_proves_nothing"),
    (Bug::OldPassesCount, "fills::a_pass_before_the_barrier_fills_nothing"),
    (Bug::OneClock, "exact::one_wrong_clock_replaces_no_living_value"),
    (Bug::OnePassIsEnough, "files::c03e_even_n_fills_from_a_majority"),
    (Bug::OwnValueFirst, "rings::c08_acceptors_are_durable"),
    (Bug::RebuildKeepsDeltas, "narrow::a_write_beside_a_strike_counts_once"),
    (Bug::RollbackUnseen, "rings::c08_a_rolled_back_acceptor_does_not_vote"),
    (Bug::ScanCountsBad, "rot::a_bad_key_is_no_vote_in_a_scan"),
    (Bug::SkipAudit, "dots::c02_vanished_record"),
    (Bug::SpreadFrees, "quorums::c09_an_old_hint_reaches_the_other_owners"),
    (Bug::StaleVersionTaken, "rings::c07c_two_steps_behind_is_refused"),
    (Bug::StrictIsLoose, "quorums::c06_strict_reads_never_go_back"),
    (Bug::TombstoneIgnored, "small::kv679_a_late_tombstone_kills_nothing"),
    (Bug::UnmuteForgets, "fills::a_forgetful_acceptor_takes_up_what_others_accepted"),
    (Bug::WitnessIgnored, "files::c17_a_rolled_back_replica_that_minted_nothing"),
];

#[test]
fn scripts_find_what_is_planted() {
    let this = std::env::current_exe().unwrap();
    for (bug, script) in FOUND_BY {
        let name = format!("{bug:?}");
        let mut command = Command::new(&this);
        command.args(["--exact", script]).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(command.status().unwrap().success(), "{script} is red by itself, or is no test");
        let status = command.env("KVS_PLANT", &name).status().unwrap();
        assert!(!status.success(), "{script} does not find {name}");
    }
}
