//! The loopback world that deploy-action is tried and tested in: Azure, GitHub, its registry, Slack,
//! PagerDuty, a status page, and the instances.
//! Never linked into the shipped binary; knows the services as their documentation words them, and nothing of the Action's code.
//!
//! | module | what it is |
//! |---|---|
//! | [`world`] | starts everything, and is what tests hold |
//! | [`fault`] | what can be switched to go wrong |
//! | [`stall`] | where it stops answering |
//! | [`record`] | every request that arrived, in order |
//! | `server`, `certificates` | TLS listeners on 127.0.0.1 with a CA made at start |
//! | `arm` | Azure Resource Manager: resource groups, container groups, Traffic Manager profiles and their monitor |
//! | `entra`, `oidc` | Microsoft's token endpoint, and GitHub's issuer of workflow identities |
//! | `registry`, `github`, `slack`, `pagerduty`, `status_page` | what their names say |
//! | `instance`, `metrics`, [`behaviour`], `afflicted` | the application in a container, what it counts, and how it behaves, also under faults |
//! | `pool` | a database's connections, all taken |
//! | `dns`, `router`, [`load`] | where a name leads, the address that people use, and people who use it |
//! | [`seed`] | what runs already |
//! | [`configuration`], [`clocks`] | a `deploy.yml` for this world, and how long its waits are |
//! | [`runner`], `payload` | starts the Action's binary as GitHub's runner starts a container action, and the event it is for |
//! | [`message_view`] | how Slack shows a message, on a terminal |

mod afflicted;
mod arm;
pub mod behaviour;
mod certificates;
pub mod clocks;
pub mod configuration;
mod control;
mod dice;
mod dns;
mod entra;
pub mod fault;
mod github;
mod http;
mod instance;
mod json_web_token;
pub mod load;
pub mod message_view;
mod metrics;
mod oidc;
mod pagerduty;
mod payload;
mod pool;
pub mod record;
mod registry;
mod router;
pub mod runner;
pub mod seed;
mod server;
mod shared;
mod slack;
pub mod stall;
mod status_page;
pub mod world;

pub use arm::throttle::Throttling;
pub use behaviour::{Behaviour, Delay, Health, Who};
pub use clocks::{Clocks, Database, Preflight};
pub use fault::{Fault, Switch, Times};
pub use github::{Alert, AlertState, Approval, CheckState, CodeScanning, Conclusion, Membership, Merged, RunState, TagKind, Teams};
pub use load::{Load, Seen};
pub use pagerduty::{Incident, IncidentState};
pub use record::Recorded;
pub use runner::{Finished, RunSpec};
pub use seed::{Member, Production, Reached, Slot, Staging};
pub use stall::Stall;
pub use world::{Options, Polling, Urls, World};
