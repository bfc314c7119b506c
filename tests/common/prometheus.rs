//! A real Prometheus server for the tests that are ignored unless PROMETHEUS names its binary. Starts and stops it; asks it nothing.

#![allow(dead_code, reason = "each test binary uses its own part of this module")]

use std::net::SocketAddr;

use sandbox::World;
use tokio::net::TcpListener;

/// A server that scrapes every second. It stops with the value.
pub struct Prometheus {
    address: SocketAddr,
    _child: tokio::process::Child,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// One that scrapes `targets`.
    pub async fn of_targets(targets: &[SocketAddr]) -> Self {
        let targets: Vec<String> = targets.iter().map(|target| format!("'{target}'")).collect();
        Self::start(&format!("static_configs: [{{ targets: [{}] }}]", targets.join(", "))).await
    }

    /// One that scrapes whatever instances there are in `world`, as it learns of them every second.
    pub async fn of_world(world: &World) -> Self {
        let (url, ca) = (&world.urls().azure, world.ca_file().display());
        Self::start(&format!(
            "http_sd_configs: [{{ url: '{url}/_sandbox/targets', refresh_interval: 1s, tls_config: {{ ca_file: '{ca}' }} }}]"
        ))
        .await
    }

    async fn start(discovery: &str) -> Self {
        let binary = std::env::var("PROMETHEUS").expect("PROMETHEUS names the binary");
        let folder = tempfile::tempdir().expect("a folder");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let file = folder.path().join("prometheus.yml");
        let text =
            format!("global: {{ scrape_interval: 1s, scrape_timeout: 1s }}\nscrape_configs: [{{ job_name: sandbox, {discovery} }}]\n");
        std::fs::write(&file, text).expect("written");
        let log = std::fs::File::create(folder.path().join("log")).expect("a file");
        let child = tokio::process::Command::new(binary)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("PROMETHEUS names a binary that runs");
        Self { address, _child: child, _folder: folder }
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
