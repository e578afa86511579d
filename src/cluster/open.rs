//! Opening what the specs of a command name.
//!
//! Running nodes are connected to, directories of stopped ones opened; which of the two is looked at
//! anew while a node starts meanwhile. Nothing is changed by opening.

use std::path::PathBuf;

use super::failures::nobody;
use super::find::{self, Places};
use super::handle::Cluster;
use super::live::Live;
use super::nodes::{ClusterNodes, is_present};
use super::opening::Opening;
use crate::config;
use crate::embed::{self, Embed};
use crate::error::{Error, Result, operand};
use crate::node_dir;
use crate::os::now;

impl Cluster {
    /// Opens what the specs name.
    ///
    /// # Errors
    /// [`Error::Usage`] for a spec that names no node, an unknown `down` or zone, `down` of a running
    /// ring or no key for one; as [`Embed::open`] of files and [`crate::client::Client::open`] of
    /// nodes, but [`Error::Busy`] when a node holds its directory and cannot be reached. Nothing is
    /// changed.
    pub fn open(opening: &Opening) -> Result<Self> {
        let until = now() + opening.timeout;
        loop {
            let places = Places::find(&opening.specs, until)?;
            let warned = |mut cluster: Self| {
                cluster.warn_of_headless(&places.headless);
                let one_by_one = !places.whole && places.addresses.is_empty();
                let named = || places.dirs.iter().map(|(dir, _)| config::name_of(dir)).collect();
                cluster.named = one_by_one.then(named);
                cluster
            };
            if places.is_live() {
                return Self::open_live(&places, opening).map(warned);
            }
            match Self::open_files(places.shut(), opening) {
                // Nodes may have been started meanwhile.
                Err(error) if matches!(error.root(), Error::Busy(_)) => {
                    if now() < until && Places::find(&opening.specs, until)?.is_live() {
                        continue;
                    }
                    return Err(error);
                }
                opened => return opened.map(warned),
            }
        }
    }

    /// A node without its configuration is down, though its data may be good.
    fn warn_of_headless(&mut self, dirs: &[PathBuf]) {
        for dir in dirs {
            let (what, cure) = (find::beheaded(dir), find::head(dir));
            self.warnings.push(format!("{what}: it counts as down; {cure}"));
        }
    }

    fn open_files(dirs: Vec<PathBuf>, opening: &Opening) -> Result<Self> {
        let embed = open_embed(dirs, opening)?;
        let (damaged, left_out) = (embed.damaged().to_vec(), embed.left_out().to_vec());
        let cluster = Self {
            nodes: ClusterNodes::Files(Box::new(embed)),
            zone: opening.zone.clone(),
            timeout: opening.timeout,
            damaged,
            left_out,
            named: None,
            warnings: Vec::new(),
        };
        for name in opening.down.iter().chain(&opening.lost) {
            cluster.doc().named(name)?;
        }
        cluster.check_zone()?;
        Ok(cluster)
    }

    fn open_live(places: &Places, opening: &Opening) -> Result<Self> {
        if let Some(name) = opening.down.first() {
            return Err(Error::Usage(
                "--down is for stopped nodes; these are running. Nothing was tried.".into(),
            )
            .hint(format!("stop a node instead: kvs node stop {}", operand(name))));
        }
        let live = Live::open(places, opening)?;
        let mut cluster = Self {
            nodes: ClusterNodes::Running(Box::new(live)),
            zone: opening.zone.clone(),
            timeout: opening.timeout,
            damaged: Vec::new(),
            left_out: Vec::new(),
            named: None,
            warnings: Vec::new(),
        };
        cluster.check_zone()?;
        cluster.enter_zone()?;
        let shut = places.shut();
        if opening.mixed && !shut.is_empty() {
            cluster = cluster.add_files(shut, opening)?;
        }
        if let Some(name) = &opening.lost {
            cluster.refuse_alive(name)?;
        }
        Ok(cluster)
    }

    /// Opens files of stopped nodes beside those that run.
    fn add_files(mut self, dirs: Vec<PathBuf>, opening: &Opening) -> Result<Self> {
        match open_embed(dirs.clone(), opening) {
            Ok(embed) if embed.doc().id == self.doc().id => {
                self.damaged = embed.damaged().to_vec();
                self.left_out = embed.left_out().to_vec();
                self.nodes = self.nodes.beside(embed);
                self.leave_out_removed();
                Ok(self)
            }
            Ok(_) => {
                let dir = dirs.first().map_or("A directory".into(), |d| d.display().to_string());
                let text = format!("{dir} belongs to another ring than the running nodes.");
                Err(Error::Denied(text).hint("name one ring only"))
            }
            Err(error) if node_dir::is_damage(&error) || node_dir::is_odd(&error) => {
                self.warnings.push(format!("stopped members count as down: {error}"));
                self.damaged = if node_dir::is_odd(&error) { Vec::new() } else { dirs };
                Ok(self)
            }
            Err(error) => Err(error),
        }
    }

    /// A file may be of a member that was removed since it was last served.
    fn leave_out_removed(&mut self) {
        let (doc, Some(files)) = (self.doc(), self.nodes.files()) else { return };
        for id in files.nodes().into_iter().filter(|id| !is_present(&doc, *id)) {
            if let Some(dir) = files.dir(id) {
                self.warnings
                    .push(format!("{} no longer belongs to a member; ignored", dir.display()));
                self.left_out.push(dir.to_path_buf());
            }
        }
    }

    /// Goes in by a running node of the zone.
    fn enter_zone(&self) -> Result<()> {
        let (Some(live), doc) = (self.nodes.running(), self.doc()) else { return Ok(()) };
        let nodes = [live.client.entry()].into_iter().chain(live.nodes());
        let entry = nodes.into_iter().find(|id| self.is_in_zone(&doc, *id)).ok_or_else(nobody)?;
        live.client.enter_at(entry);
        Ok(())
    }
}

fn open_embed(dirs: Vec<PathBuf>, opening: &Opening) -> Result<Embed> {
    Embed::open(&embed::RingOpening {
        dirs,
        access: opening.access,
        timeout: opening.timeout,
        down: opening.down.iter().chain(&opening.lost).cloned().collect(),
        purpose: opening.purpose.clone(),
    })
}
