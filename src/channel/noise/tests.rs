//! The channel as two ends of one process: what opens, and that nothing else does.

use proptest::prelude::*;

use super::*;
use crate::ring::{NodeId, RingId};

const OLD: Secret = [1; 32];
const NEW: Secret = [2; 32];
const DIALLER: Secret = [3; 32];
const ANSWERER: Secret = [4; 32];

fn keys(keys: &[Secret]) -> RingKeys {
    RingKeys::new(keys.to_vec())
}

fn hello(node: u64) -> Hello {
    Hello::new(Some(RingId(5)), Some(NodeId(node)))
}

/// The body of a packet that is alone, its length checked.
fn body(packet: &[u8]) -> &[u8] {
    let (length, body) = packet.split_first_chunk().expect("a length");
    assert_eq!(usize::from(u16::from_be_bytes(*length)), body.len());
    body
}

/// The bodies of packets.
fn bodies(mut packets: &[u8]) -> Vec<&[u8]> {
    let mut all = Vec::new();
    while let Some((length, rest)) = packets.split_first_chunk() {
        let (body, after) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
        all.push(body);
        packets = after;
    }
    all
}

fn dial(ring: &RingKeys) -> (Handshake, Vec<u8>) {
    Handshake::dial(ring, &Static::of(DIALLER), &hello(1)).expect("a first packet")
}

fn answer(ring: &RingKeys, first: &[u8]) -> Result<(Handshake, Vec<u8>)> {
    Handshake::answer(ring, &Static::of(ANSWERER), &hello(2), first)
}

/// Both ends, the dialler's first.
fn shake(dialler: &RingKeys, answerer: &RingKeys) -> Result<(Session, Session)> {
    let (dialling, first) = dial(dialler);
    let (answering, second) = answer(answerer, body(&first))?;
    let (near, third) = dialling.dialled(body(&second))?;
    Ok((near, answering.answered(body(&third))?))
}

fn ends() -> (Session, Session) {
    let ring = keys(&[OLD]);
    shake(&ring, &ring).expect("one key, one channel")
}

fn sealed(sealer: &mut Sealer, frame: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    sealer.seal(frame, &mut out).expect("a frame that fits");
    out
}

/// What comes of packets: the frames, in order.
fn frames(opener: &mut Opener, packets: &[u8]) -> Result<Vec<Vec<u8>>> {
    bodies(packets).into_iter().filter_map(|body| opener.open(body).transpose()).collect()
}

fn is_corrupt<T>(result: Result<T>) -> bool {
    matches!(result, Err(Error::Corrupt(_)))
}

fn is_denied<T>(result: Result<T>) -> bool {
    result.is_err_and(|e| matches!(e.root(), Error::Denied(_)))
}

#[test]
fn each_side_learns_who_the_other_is() {
    let (near, far) = ends();
    assert_eq!((near.hello, far.hello), (hello(2), hello(1)));
    assert_eq!(near.remote, Static::of(ANSWERER).public());
    assert_eq!(far.remote, Static::of(DIALLER).public());
}

#[test]
fn parcels_of_every_length_come_whole_in_both_directions() {
    let (mut near, mut far) = ends();
    for length in [0, 1, 65_517, 65_518, 65_519, 65_520, 2 * 65_518, 5 << 20] {
        let frame: Vec<u8> = (0..length).map(|i: usize| (i % 251) as u8).collect();
        let packets = sealed(&mut near.sealer, &frame);
        assert_eq!(bodies(&packets).len(), length.div_ceil(PIECE_BYTES_MAX).max(1));
        assert!(bodies(&packets).iter().all(|b| b.len() <= usize::from(u16::MAX)));
        assert!(frames(&mut far.opener, &packets).expect("packets") == [frame.clone()], "{length}");
        let back = sealed(&mut far.sealer, &frame);
        assert!(frames(&mut near.opener, &back).expect("packets") == [frame], "{length} back");
    }
}

#[test]
fn parcels_come_in_order() {
    let (mut near, mut far) = ends();
    let mut out = Vec::new();
    for frame in ["one", "two", ""] {
        near.sealer.seal(frame.as_bytes(), &mut out).expect("a frame");
    }
    let came = frames(&mut far.opener, &out).expect("packets");
    assert_eq!(came, [b"one".to_vec(), b"two".to_vec(), Vec::new()]);
}

#[test]
fn nothing_is_sent_in_the_clear() {
    let (mut near, _far) = ends();
    let (_, first) = dial(&keys(&[OLD]));
    let said = postcard::to_stdvec(&hello(1)).expect("a hello");
    assert!(!first.windows(said.len()).any(|w| w == said));
    let packets = sealed(&mut near.sealer, b"a secret of some length");
    assert!(!packets.windows(8).any(|w| w == b"a secret"));
}

#[test]
fn another_key_is_denied_with_what_to_look_at() {
    let Err(error) = shake(&keys(&[OLD]), &keys(&[NEW])) else { panic!("keys differ") };
    assert!(error.to_string().contains("a different ring key"), "{error}");
    let Error::Hinted { hint, .. } = &error else { panic!("no hint: {error}") };
    assert!(hint.contains("kvs config show"), "{hint}");
    assert!(is_denied(Err::<(), _>(error)));
}

#[test]
fn an_answer_under_another_key_is_denied_to_the_dialler() {
    let (dialling, _) = dial(&keys(&[OLD]));
    let (_, first) = dial(&keys(&[NEW]));
    let (_, second) = answer(&keys(&[NEW]), body(&first)).expect("its own key");
    assert!(is_denied(dialling.dialled(body(&second))));
}

#[test]
fn no_key_is_denied() {
    let none = keys(&[]);
    assert!(is_denied(Handshake::dial(&none, &Static::of(DIALLER), &hello(1))));
    let (_, first) = dial(&keys(&[OLD]));
    assert!(is_denied(answer(&none, body(&first))));
}

#[test]
fn every_step_of_a_rotation_leaves_all_pairs_able_to_talk() {
    let steps = [keys(&[OLD]), keys(&[OLD, NEW]), keys(&[NEW, OLD]), keys(&[NEW])];
    for pair in steps.windows(2) {
        for (dialler, answerer) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let (mut near, mut far) = shake(&pair[dialler], &pair[answerer]).expect("a channel");
            let packets = sealed(&mut far.sealer, b"hi");
            assert_eq!(frames(&mut near.opener, &packets).expect("packets"), [b"hi"]);
        }
    }
    assert!(shake(&steps[0], &steps[2]).is_ok(), "the old key is still accepted");
    assert!(is_denied(shake(&steps[2], &steps[0])), "two steps apart");
}

#[test]
fn a_flipped_bit_in_any_frame_of_the_handshake_is_refused() {
    let ring = keys(&[OLD, NEW]);
    let flips = |packet: &[u8]| {
        let body = body(packet).to_vec();
        (0..body.len() * 8).step_by(5).map(move |bit| {
            let mut bad = body.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            bad
        })
    };
    let (_, first) = dial(&ring);
    for bad in flips(&first) {
        // The highest bit of an ephemeral key has no meaning to its curve, but is hashed.
        assert!(is_denied(answer(&ring, &bad)));
    }
    let second_of = || {
        let (dialling, first) = dial(&ring);
        let (answering, second) = answer(&ring, body(&first)).expect("a second packet");
        (dialling, answering, second)
    };
    for bit in 0..body(&second_of().2).len() * 8 / 5 {
        let (dialling, _, second) = second_of();
        let bad = flips(&second).nth(bit).expect("a bit");
        assert!(is_denied(dialling.dialled(&bad)), "second packet, bit {}", bit * 5);
    }
    let third_of = || {
        let (dialling, answering, second) = second_of();
        (answering, dialling.dialled(body(&second)).expect("a third packet").1)
    };
    for bit in 0..body(&third_of().1).len() * 8 / 5 {
        let (answering, third) = third_of();
        let bad = flips(&third).nth(bit).expect("a bit");
        assert!(is_denied(answering.answered(&bad)), "third packet, bit {}", bit * 5);
    }
}

#[test]
fn a_flipped_bit_in_any_later_frame_is_refused_and_so_is_all_after_it() {
    let length = bodies(&sealed(&mut ends().0.sealer, b"frame"))[0].len();
    for bit in 0..length * 8 {
        let (mut near, mut far) = ends();
        let mut bad = body(&sealed(&mut near.sealer, b"frame")).to_vec();
        let good = bad.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(is_corrupt(far.opener.open(&bad)), "bit {bit}");
        assert!(is_corrupt(far.opener.open(&good)), "after bit {bit}");
    }
}

#[test]
fn a_frame_that_is_repeated_swapped_lost_or_turned_back_is_refused() {
    let three =
        |near: &mut Session| ["a", "b", "c"].map(|p| sealed(&mut near.sealer, p.as_bytes()));
    for order in [vec![0, 0], vec![1], vec![0, 2]] {
        let (mut near, mut far) = ends();
        let packets = three(&mut near);
        let (last, good) = order.split_last().expect("a packet");
        for packet in good {
            assert!(far.opener.open(body(&packets[*packet])).is_ok(), "{order:?}");
        }
        assert!(is_corrupt(far.opener.open(body(&packets[*last]))), "{order:?}");
    }
    let (mut near, _) = ends();
    let own = sealed(&mut near.sealer, b"mine");
    assert!(is_corrupt(near.opener.open(body(&own))), "its own packet came back");
}

#[test]
fn a_repeated_handshake_opens_nothing() {
    let ring = keys(&[OLD]);
    let (dialling, first) = dial(&ring);
    let (_, second) = answer(&ring, body(&first)).expect("a second packet");
    let (_, third) = dialling.dialled(body(&second)).expect("a third packet");
    let (again, _) =
        answer(&ring, body(&first)).expect("a first packet has no proof of the moment");
    assert!(is_denied(again.answered(body(&third))));
}

/// The first packet's body of a dialler who has the key and says so many bytes.
fn first_of(said: &[u8]) -> Vec<u8> {
    let mut noise = builder(&OLD, &Static::of(DIALLER)).unwrap().build_initiator().unwrap();
    let mut body = vec![0; said.len() + 48];
    assert_eq!(noise.write_message(said, &mut body).unwrap(), body.len());
    body
}

#[test]
fn a_long_frame_of_a_handshake_is_refused() {
    let ring = keys(&[OLD]);
    let mut said = greeting(&hello(1)).unwrap();
    // Longer by no more than a later build's fields: that is still heard.
    said.resize(HANDSHAKE_BYTES_MAX - 48, 7);
    let (answering, _) = answer(&ring, &first_of(&said)).expect("a hello with more after it");
    assert_eq!(answering.hello, Some(hello(1)));
    said.push(7);
    assert!(is_denied(answer(&ring, &first_of(&said))));
}

#[test]
fn the_pattern_and_the_prologue_are_these_for_good() {
    let first = |prologue: &[u8]| {
        let params = "Noise_XXpsk0_25519_ChaChaPoly_BLAKE2s".parse().unwrap();
        let with = Builder::new(params).prologue(prologue).and_then(|b| b.psk(0, &OLD)).unwrap();
        let mut noise = with.local_private_key(&DIALLER).unwrap().build_initiator().unwrap();
        write(&mut noise, &greeting(&hello(1)).unwrap()).unwrap()
    };
    assert!(answer(&keys(&[OLD]), body(&first(b"kvs 1"))).is_ok());
    assert!(is_denied(answer(&keys(&[OLD]), body(&first(b"kvs 2")))));
}

#[test]
fn a_hello_that_is_none_is_refused() {
    assert!(is_corrupt(answer(&keys(&[OLD]), &first_of(&[9]))));
}

#[test]
fn a_parcel_that_is_too_long_is_not_sealed() {
    let (mut near, mut far) = ends();
    let mut out = b"before".to_vec();
    let long = vec![0; FRAME_BYTES_MAX + 1];
    assert!(is_denied(near.sealer.seal(&long, &mut out)));
    assert_eq!(out, b"before");
    // The channel is as good as before.
    let packets = sealed(&mut near.sealer, b"short");
    assert_eq!(frames(&mut far.opener, &packets).expect("packets"), [b"short"]);
}

#[test]
fn a_parcel_grows_to_its_bound_and_not_beyond() {
    // Pieces that came before are put in place, not sent: 64 MiB take long without optimisation.
    let before = vec![7; FRAME_BYTES_MAX - 5];
    for (mark, piece, fits) in [
        (LAST, "12345", true),
        (MORE, "12345", true),
        (LAST, "123456", false),
        (MORE, "123456", false),
    ] {
        let (mut near, mut far) = ends();
        far.opener.frame = before.clone();
        let mut packet = Vec::new();
        near.sealer.packet(mark, piece.as_bytes(), &mut packet).expect("a packet");
        let opened = far.opener.open(body(&packet));
        if fits {
            let whole = opened.expect("a frame of the longest kind");
            assert_eq!(whole.map(|p| p.len()), (mark == LAST).then_some(FRAME_BYTES_MAX));
        } else {
            assert!(is_corrupt(opened), "{mark} {piece}");
            assert_eq!(far.opener.frame.capacity(), 0);
        }
    }
}

#[test]
fn a_piece_of_no_kind_or_without_a_first_byte_is_refused() {
    let (mut near, mut far) = ends();
    let mut packet = Vec::new();
    near.sealer.packet(2, b"x", &mut packet).expect("a packet");
    assert!(is_corrupt(far.opener.open(body(&packet))));
    let (near, mut far) = ends();
    let mut sealed = vec![0; TAG_BYTES];
    near.sealer.session.write_message(0, &[], &mut sealed).expect("an empty packet");
    assert!(is_corrupt(far.opener.open(&sealed)));
}

#[test]
fn secrets_are_not_shown() {
    let ring = keys(&[[0xab; 32], [0xcd; 32]]);
    assert_eq!(format!("{ring:?}"), "RingKeys(2 secret)");
    let own = Static::of([0xab; 32]);
    assert!(!format!("{own:?}").contains(&format!("{:?}", [0xab_u8; 4])[1..13]));
    let (near, mut far) = ends();
    let mut sealer = near.sealer;
    let mut packet = Vec::new();
    sealer.packet(MORE, b"half a frame", &mut packet).expect("a packet");
    assert_eq!(far.opener.open(body(&packet)).expect("a piece"), None);
    assert_eq!(format!("{:?}", far.opener), "Opener { taken: 1, held: 12 }");
    assert_eq!(
        format!("{sealer:?}"),
        "Sealer { session: StatelessTransportState, sent: 1 }" // the crate hides its keys
    );
    assert_eq!(format!("{:?}", dial(&ring).0), "Handshake { noise: HandshakeState, hello: None }");
}

#[test]
fn a_client_of_the_moment_has_a_key_of_its_own() {
    let (one, two) = (Static::fresh().expect("bits"), Static::fresh().expect("bits"));
    assert_ne!(one.public(), two.public());
}

#[test]
fn both_halves_may_live_on_threads() {
    fn may<T: Send + Sync + 'static>() {}
    may::<Sealer>();
    may::<Opener>();
    may::<Handshake>();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))] // a handshake is slow without optimisation

    #[test]
    fn garbage_is_refused_and_never_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..1_100),
        cut in any::<prop::sample::Index>(),
    ) {
        let ring = keys(&[OLD, NEW]);
        let (dialling, first) = dial(&ring);
        prop_assert!(answer(&ring, &bytes).is_err());
        prop_assert!(answer(&ring, &body(&first)[..cut.index(first.len() - 2)]).is_err());
        let (answering, second) = answer(&ring, body(&first)).expect("a second packet");
        prop_assert!(answering.answered(&bytes).is_err());
        prop_assert!(dial(&ring).0.dialled(&bytes).is_err());
        let short = &body(&second)[..cut.index(second.len() - 2)];
        prop_assert!(dialling.dialled(short).is_err());
        let (mut near, mut far) = ends();
        prop_assert!(ends().1.opener.open(&bytes).is_err());
        let packet = sealed(&mut near.sealer, &bytes);
        let short = &body(&packet)[..cut.index(packet.len() - 2)];
        prop_assert!(far.opener.open(short).is_err());
    }

    #[test]
    fn any_parcels_come_as_they_were(
        sent in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3_000), 0..6),
    ) {
        let (mut near, mut far) = ends();
        let mut out = Vec::new();
        for frame in &sent {
            near.sealer.seal(frame, &mut out).expect("a frame");
        }
        prop_assert_eq!(frames(&mut far.opener, &out).expect("packets"), sent);
    }
}
