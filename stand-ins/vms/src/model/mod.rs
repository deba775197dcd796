//! What can be chosen about a demo VMS: data, and nothing that answers.

pub(crate) mod config;
pub(crate) mod fault;
pub(crate) mod kind;
pub(crate) mod privacy;
pub(crate) mod site;
pub(crate) mod user;
