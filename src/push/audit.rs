//! x
use super::Event;
use crate::error::Result;
use std::path::Path;
pub struct Audit {}
impl Audit {
    pub fn begin(_ring: &str, _command: &str) -> Result<Self> {
        Ok(Self {})
    }
    pub fn note(&self, _host: &str, _event: &Event) {}
    pub fn end(&self, _words: &str) {}
    pub fn path(&self) -> &Path {
        Path::new("x")
    }
}
