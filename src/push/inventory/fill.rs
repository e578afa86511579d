//! From what is written to what is meant: defaults, `~`, addresses.
//!
//! ```text
//! hosts[].root  or  defaults.root  or  /opt/kvs        each field by itself, ssh too
//! key: prod.key     -> beside the inventory            ~/x -> of the home here
//! root: ~/kvs       -> as it is: the home over there
//! listen: 0.0.0.0   -> advertise: the first address the name has here
//! ```
//!
//! What cannot be filled in is a sentence without its file; [`super::check`] judges the rest.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::form::{
    Count, Defaults, Form, HostForm, HostKeysForm, RolloutForm, ScaleForm, SshForm, Time, Wrong,
};
use super::names::{self, Names};
use super::{Become, Fleet, Host, HostKeys, Me, Rollout, ScaleRules, ServiceKind, SshRules};

/// The port of sshd.
const SSH_PORT: u16 = 22;
/// The port of a node.
pub(super) const NODE_PORT: u16 = 7400;
/// Where things go on a host, for root and for others.
const ROOT: [&str; 2] = ["/opt/kvs", "~/kvs"];
/// The files in ~/.ssh that are tried when none are named.
const KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// The surroundings of an inventory.
pub(super) struct Filling<'a> {
    /// Its directory.
    pub(super) dir: &'a Path,
    /// Who reads it.
    pub(super) me: &'a Me,
    /// What its names stand for.
    pub(super) names: &'a Names,
}

impl Filling<'_> {
    /// The fleet that is meant.
    pub(super) fn fleet(&self, form: &Form) -> Result<Fleet, Wrong> {
        let none = Defaults::default();
        let defaults = form.defaults.as_ref().unwrap_or(&none);
        if defaults.ssh.as_ref().is_some_and(|ssh| ssh.host_key.is_some()) {
            return Err("defaults: a host_key is that of one host; say it there".into());
        }
        let all = |list: &Option<Vec<HostForm>>| -> Result<Vec<Host>, Wrong> {
            let one = |host| self.host(host, defaults).map_err(|e| format!("{}: {e}", host.name));
            list.iter().flatten().map(one).collect()
        };
        let (hosts, spares) = (all(&form.hosts)?, all(&form.spares)?);
        let replicas = form.replicas.map_or(hosts.len().min(3) as u8, |count| count.0 as u8);
        let key = form.key.clone().unwrap_or_else(|| format!("{}.key", form.ring).into());
        let members = hosts.len() + spares.len();
        Ok(Fleet {
            ring: form.ring.clone(),
            key: self.here(&key)?,
            replicas,
            partitions: form.partitions.map_or(1024, |count| count.0),
            hosts,
            spares,
            rollout: rollout(form.rollout.as_ref().unwrap_or(&RolloutForm::default())),
            scale: form.scale.as_ref().map(|s| scale(s, replicas.into(), members)),
        })
    }

    fn host(&self, own: &HostForm, all: &Defaults) -> Result<Host, Wrong> {
        let ssh = self.ssh(own, all)?;
        let port = own.port.or(all.port).map_or(NODE_PORT, |port| port.0);
        let listen = own.listen.as_ref().or(all.listen.as_ref());
        let (listen, advertise) = self.addresses(own, listen, port)?;
        let become_root = own.become_root.or(all.become_root).unwrap_or(Become::None);
        let is_root = become_root == Become::Sudo || ssh.user == "root";
        let own_place = || ROOT[usize::from(!is_root)].to_owned();
        let root = own.root.as_ref().or(all.root.as_ref()).cloned().unwrap_or_else(own_place);
        let root = plain(&root);
        let data = own.data.as_ref().or(all.data.as_ref()).map(|data| plain(data));
        let binary = own.binary.as_ref().or(all.binary.as_ref());
        let text = |own: &Option<String>, all: &Option<String>, otherwise: &str| {
            own.as_ref().or(all.as_ref()).map_or_else(|| otherwise.to_owned(), Clone::clone)
        };
        Ok(Host {
            name: own.name.clone(),
            address: names::bare(&own.address).to_owned(),
            ssh,
            zone: text(&own.zone, &all.zone, "default"),
            weight: own.weight.or(all.weight).map_or(1, |count| count.0),
            listen,
            advertise,
            metrics: Some(text(&own.metrics, &all.metrics, "off")),
            quota_bytes: own.quota.or(all.quota).map(|size| size.0),
            data: data.unwrap_or_else(|| format!("{root}/data")),
            root,
            binary: binary.map(|file| self.here(file)).transpose()?,
            become_root,
            service: own.service.or(all.service).unwrap_or(ServiceKind::Auto),
        })
    }

    fn ssh(&self, host: &HostForm, defaults: &Defaults) -> Result<SshRules, Wrong> {
        let none = SshForm::default();
        let own = host.ssh.as_ref().unwrap_or(&none);
        let all = defaults.ssh.as_ref().unwrap_or(&none);
        let user = own.user.as_ref().or(all.user.as_ref()).or(self.me.user.as_ref());
        let user = user.ok_or("as whom to log in is not known here; say ssh: {user: …}")?;
        let port = own.port.or(all.port).map_or(SSH_PORT, |port| port.0);
        let keys = match own.keys.as_ref().or(all.keys.as_ref()) {
            Some(keys) => keys.iter().map(|key| self.here(key)).collect::<Result<_, _>>()?,
            None => self.usual_keys(),
        };
        let known_hosts = match own.known_hosts.as_ref().or(all.known_hosts.as_ref()) {
            Some(files) => files.iter().map(|file| self.here(file)).collect::<Result<_, _>>()?,
            None => self.usual_known_hosts(),
        };
        let host_keys = match (&own.host_key, own.host_keys.or(all.host_keys)) {
            (Some(pin), _) => HostKeys::Pin(pin.clone()),
            (None, Some(HostKeysForm::AcceptNew)) => HostKeys::AcceptNew,
            (None, Some(HostKeysForm::Strict) | None) => HostKeys::Strict,
        };
        let resolved = self.names.of(names::bare(&host.address));
        Ok(SshRules {
            at: resolved.iter().map(|ip| SocketAddr::new(*ip, port)).collect(),
            port,
            user: user.clone(),
            keys,
            agent: own.agent.or(all.agent).unwrap_or(true),
            known_hosts,
            host_keys,
            connect_timeout: time(own.connect_timeout.or(all.connect_timeout), 10),
            command_timeout: time(own.command_timeout.or(all.command_timeout), 60),
        })
    }

    /// Where a node listens, and where others reach it when that is elsewhere.
    fn addresses(
        &self,
        host: &HostForm,
        listen: Option<&String>,
        port: u16,
    ) -> Result<(SocketAddr, Option<SocketAddr>), Wrong> {
        let first = *self.names.of(names::bare(&host.address)).first().ok_or("has no address")?;
        let listen = match listen {
            Some(text) => self.endpoint(text, port)?,
            None => SocketAddr::new(first, port),
        };
        if let Some(text) = &host.advertise {
            let advertise = self.endpoint(text, listen.port())?;
            return Ok((listen, (advertise != listen).then_some(advertise)));
        }
        if !listen.ip().is_unspecified() {
            return Ok((listen, None));
        }
        // 0.0.0.0 hears nothing of IPv6; [::] hears both.
        let heard = |ip: &&IpAddr| ip.is_ipv4() || listen.is_ipv6();
        let reached = self.names.of(names::bare(&host.address)).iter().find(heard);
        let reached = reached.ok_or_else(|| {
            format!("listens on {listen}, and {} has no IPv4 address; say advertise", host.address)
        })?;
        Ok((listen, Some(SocketAddr::new(*reached, listen.port()))))
    }

    fn endpoint(&self, text: &str, port: u16) -> Result<SocketAddr, Wrong> {
        let (name, own) = names::endpoint(text)?;
        let ip = self.names.of(&name).first().ok_or_else(|| format!("{name} has no address"))?;
        Ok(SocketAddr::new(*ip, own.unwrap_or(port)))
    }

    /// A file of this machine.
    fn here(&self, path: &Path) -> Result<PathBuf, Wrong> {
        let Ok(below) = path.strip_prefix("~") else {
            let text = path.to_string_lossy();
            return match text.starts_with('~') || text.is_empty() {
                true => Err(format!("{text:?} cannot be told here; write the path out")),
                false => Ok(self.dir.join(path)),
            };
        };
        let home = self.me.home.as_ref();
        let home = home.ok_or_else(|| format!("{}: HOME is not set here", path.display()))?;
        Ok(home.join(below))
    }

    fn usual_keys(&self) -> Vec<PathBuf> {
        let home = self.me.home.iter();
        let files = home.flat_map(|home| KEYS.map(|key| home.join(".ssh").join(key)));
        files.filter(|file| file.exists()).collect()
    }

    fn usual_known_hosts(&self) -> Vec<PathBuf> {
        let own = self.me.home.iter().map(|home| home.join(".ssh/known_hosts"));
        own.chain([PathBuf::from("/etc/ssh/ssh_known_hosts")]).collect()
    }
}

/// A path over there without the slashes that say nothing.
fn plain(path: &str) -> String {
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    let begin = if path.starts_with('/') { "/" } else { "" };
    format!("{begin}{}", parts.join("/"))
}

fn time(written: Option<Time>, otherwise: u64) -> Duration {
    written.map_or(Duration::from_secs(otherwise), |time| time.0)
}

fn many(written: Option<Count>, otherwise: usize) -> usize {
    written.map_or(otherwise, |count| count.0 as usize)
}

fn rollout(form: &RolloutForm) -> Rollout {
    Rollout {
        batch: many(form.batch, 1),
        pause: time(form.pause, 0),
        ready_timeout: time(form.ready_timeout, 60),
        sync_timeout: time(form.sync_timeout, 600),
        uploads: many(form.uploads, 5),
    }
}

fn scale(form: &ScaleForm, replicas: usize, members: usize) -> ScaleRules {
    ScaleRules {
        min: many(form.min, replicas),
        max: many(form.max, members),
        window: time(form.window, 30),
        cool_down: time(form.cool_down, 600),
        requests: form.requests.map(|rate| rate.0),
        latency: form.latency.map(|time| time.0),
        bytes: form.bytes.map(|size| size.0),
        disk: form.disk.map(|share| share.0),
        shrink_below: form.shrink_below.map_or(0.6, |share| share.0),
    }
}
