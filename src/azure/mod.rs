//! Azure Resource Manager: login, container groups, their metrics, Traffic Manager, its errors.
//! Does what it is told and says what it found; decides nothing.

/// Container groups: read, write, delete, logs.
pub mod container_groups;
/// A container group's definition: the body that is sent, and how an existing group compares with it. Pure.
pub mod definition;
mod error;
mod login;
/// What Azure Monitor knows of a container group.
pub mod monitor;
/// The checked way to set any property of Microsoft's schema. Pure.
pub mod passthrough;
/// What a login may do at a resource group.
pub mod permissions;
mod resource_manager;
/// Traffic Manager: one profile read, written whole in one request, created, compared and judged.
pub mod traffic_manager;
mod wire;

pub use error::AzureError;
pub use login::Login;
pub use resource_manager::{ResourceManager, Settings};
pub(crate) use wire::TAG;
