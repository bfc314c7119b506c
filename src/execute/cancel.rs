//! Being told to stop, as data. GitHub's runner sends SIGINT, SIGTERM 7.5 s later, and kills 2.5 s after that
//! (GitHub documentation, quoted in actions/runner#1309). PID 1 of a container ignores signals that it has no handler for.

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// Whether this run was told to stop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cancel(watch::Receiver<Option<&'static str>>);

impl Cancel {
    /// Listens for SIGINT and SIGTERM from now on.
    ///
    /// # Errors
    /// When the operating system refuses a handler.
    pub fn listen() -> std::io::Result<Self> {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let (sender, receiver) = watch::channel(None);
        tokio::spawn(async move {
            let name = tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
            };
            let _ = sender.send(Some(name));
            // The sender must outlive every receiver: a closed channel would read as "never", which is right, but a
            // second signal must not end the process by default action either, so the handlers stay.
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            }
        });
        Ok(Self(receiver))
    }

    /// A run that nobody stops.
    #[must_use]
    pub fn never() -> Self {
        Self(watch::channel(None).1)
    }

    /// The signal's name, if the run has been told to stop.
    #[must_use]
    pub fn now(&self) -> Option<&'static str> {
        *self.0.borrow()
    }

    /// Waits until the run is told to stop; gives the signal's name. Waits for ever where nobody can.
    pub async fn asked(&mut self) -> &'static str {
        loop {
            if let Some(name) = *self.0.borrow_and_update() {
                return name;
            }
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
