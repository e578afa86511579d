//! `kvs init`: makes a ring.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use kvs::client::free_ports;
use kvs::config::address;
use kvs::error::{Error, option};
use kvs::key::Q;
use kvs::node_dir::{MemberSpec, RingSpec, create_ring};
use kvs::os::random;

use crate::common::Common;
use crate::exit::{Done, Outcome};
use crate::ui::{Ui, counted};

/// Make a ring directory with one directory per node
///
/// DIR/n1, DIR/n2, … are complete nodes; DIR appears whole or not at all. With fewer than 3 nodes
/// the default number of replicas is lower. The number of partitions is fixed for the life of the
/// ring: use about a hundred times the highest number of nodes you expect.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The directory to create
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Number of nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    nodes: u16,
    /// Copies of each record (N); 3, or the number of nodes if that is smaller
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=15))]
    replicas: Option<u8>,
    /// Partitions: a power of two from 8 to 65536
    #[arg(long, default_value_t = 1024)]
    partitions: u32,
    /// Zones, assigned to the nodes in turn
    #[arg(long, value_delimiter = ',', default_value = "default")]
    zones: Vec<String>,
    /// Where the nodes listen: HOST:PORT of the first, one port higher for each next; by default
    /// free ports of 127.0.0.1
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    listen: Option<(String, u16)>,
}

pub(crate) fn run(ui: &mut Ui, _common: &Common, args: &Args) -> Outcome {
    let replicas = args.replicas.unwrap_or(args.nodes.min(3) as u8);
    if u16::from(replicas) > args.nodes {
        let nodes = args.nodes;
        let text =
            format!("{replicas} replicas need as many nodes, not {nodes}; nothing was made.");
        return Err(Error::Usage(text).into());
    }
    if args.listen.as_ref().is_some_and(|(_, port)| *port == 0) {
        let text = "Port 0 is a different port at every start, so nodes would not find each \
                    other; nothing \
                    was made.";
        return Err(Error::Usage(text.into()).hint("omit --listen, or name the first port").into());
    }
    let listen = args.listen.clone().or_else(|| free(args.nodes));
    if listen.as_ref().is_some_and(|(_, port)| port.checked_add(args.nodes - 1).is_none()) {
        let text = "There are fewer ports from there on than nodes; nothing was made.";
        return Err(Error::Usage(text.into()).into());
    }
    let members = (0..args.nodes).map(|i| MemberSpec {
        name: format!("n{}", i + 1),
        zone: args.zones[usize::from(i) % args.zones.len()].clone(),
        weight: 1,
        listen: listen.as_ref().map(|(host, port)| format!("{host}:{}", port.saturating_add(i))),
    });
    let members = members.collect();
    let ring = RingSpec { q: Q::new(args.partitions)?, replicas, members };
    let doc = create_ring(&args.dir, &ring)?;
    let dir = args.dir.display();
    ui.has_applied(format!("The ring in {dir} was made."));
    if ui.is_json() {
        let json = serde_json::json!({
            "schema": "kvs.init/1", "id": doc.id.to_string(), "dir": dir.to_string(),
            "nodes": doc.members.iter().map(|m| &m.name).collect::<Vec<_>>(),
            "replicas": replicas, "partitions": args.partitions,
        });
        ui.json(&json)?;
    } else {
        ui.note(&format!(
            "made a ring of {} in {dir}: {}, {} partitions",
            counted(args.nodes, "node"),
            counted(replicas, "replica"),
            args.partitions
        ));
        ui.note(&format!("next: kvs {} put greeting hello", option("--ring", &args.dir)));
    }
    Ok(Done::Yes)
}

/// Ports of this machine that are free now, so that the ring runs without configuration.
fn free(nodes: u16) -> Option<(String, u16)> {
    let first = free_ports(nodes, random().ok()? as u64)?;
    Some(("127.0.0.1".into(), first))
}
