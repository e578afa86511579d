//! What only running nodes can be asked, and how a NAME finds its node. (The trait goes as soon as
//! the target has these methods itself: they come before those of a trait.)

use kvs::channel::{Info, News};
use kvs::error::Error;
use kvs::node::Transfer;
use kvs::ring::NodeId;
use kvs::target::{Target, View};

fn files() -> Error {
    Error::Unreachable("The nodes of this ring are not running; nothing was tried.".into())
}

pub(crate) trait Running {
    fn is_live(&self) -> bool {
        false
    }
    fn info(&mut self, _id: NodeId) -> Result<Info, Error> {
        Err(files())
    }
    fn transfers(&mut self, _id: NodeId) -> Result<Vec<Transfer>, Error> {
        Err(files())
    }
    fn drain(&mut self, _id: NodeId, _on: bool) -> Result<(), Error> {
        Err(files())
    }
    fn stop(&mut self, _id: NodeId) -> Result<(), Error> {
        Err(files())
    }
    fn news(&mut self, _id: NodeId) -> Result<Vec<News>, Error> {
        Err(files())
    }
}

impl Running for Target {}

pub(crate) fn info(_view: &View) -> Option<&Info> {
    None
}
