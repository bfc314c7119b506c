//! A PostgreSQL server, asked for numbers: how many connections a database has, what a check by SQL yields. Reads; judges nothing.
//!
//! One connection is kept and opened again when it was lost: a full server is then still asked, and a tick costs no login. Each
//! question runs in a transaction that is read only and has a time limit at the server, beside the one here; a statement of a
//! person goes through the extended protocol, which takes one statement and no more.
//!
//! The address is a secret, and so is everything in it: no text of here repeats a part of it, nor what a server says before it
//! has let us in (it repeats the user and the database).

mod address;
mod number;
mod tls;
mod trouble;

use std::{pin::pin, time::Duration};

use futures::TryStreamExt;
use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::{Client, Config};

pub(crate) use address::passwords;
pub(super) use trouble::Trouble;

use crate::{domain::Secret, failure::Failure};
use tls::Tls;

/// By which name a server's `pg_stat_activity` knows this program.
const APPLICATION: &str = "deploy-action";

/// What is counted: the connections of clients to the database of the address, but ours.
///
/// The runbook's command (Scenario 3, Step 3: "SELECT count(*) FROM pg_stat_activity") counts every row of the server: its
/// background processes, other databases and itself, which say nothing of the application's pool of 20. A server shows
/// `backend_type` of other roles' connections only to members of `pg_read_all_stats` (PostgreSQL documentation, "The Cumulative
/// Statistics System"), so what it does not show counts: too many is the safe error. Background processes without a user
/// (autovacuum) are told by that.
pub(super) const CONNECTIONS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usesysid IS NOT NULL \
    AND coalesce(backend_type, 'client backend') = 'client backend' AND pid <> pg_backend_pid() \
    AND application_name IS DISTINCT FROM 'deploy-action'";

/// A database and how to reach it.
pub struct Postgres {
    config: Config,
    tls: Tls,
    open: Option<Open>,
}

/// A connection, and the task that moves its bytes.
struct Open {
    client: Client,
    task: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        // A server that does not answer would keep the task waiting.
        self.task.abort();
    }
}

impl Postgres {
    /// Prepares to ask the database at `url`, the input `database-url`: `postgres://USER:PASSWORD@HOST:PORT/DATABASE` or
    /// `host=… user=… password=… dbname=…` (PostgreSQL documentation, "Connection Strings"). Sends nothing.
    ///
    /// # Errors
    /// When it is no such address; the text repeats no part of it.
    pub fn new(url: &Secret) -> Result<Self, Failure> {
        let config = address::read(url).map_err(|wrong| wrong.failure())?;
        Ok(Self { config, tls: Tls::new()?, open: None })
    }

    /// The one number that `sql` yields, within `patience`.
    pub(super) async fn number(&mut self, sql: &str, patience: Duration) -> Result<f64, Trouble> {
        // In a box: inside those of a whole run it is deeper than the compiler follows.
        match timeout(patience, Box::pin(self.asked(sql, patience))).await {
            Ok(answer) => answer,
            Err(_) => Err(Trouble::Slow(patience)),
        }
    }

    async fn asked(&mut self, sql: &str, patience: Duration) -> Result<f64, Trouble> {
        // Taken out meanwhile: what is given up half-way is closed, not asked again.
        if let Some(open) = self.open.take().filter(|open| !open.client.is_closed()) {
            match ask(&open.client, sql, patience).await {
                Ok(number) => {
                    self.open = Some(open);
                    return Ok(number);
                }
                // It was lost since: the server may well be there.
                Err(Trouble::Lost) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        let open = self.connect().await?;
        let number = ask(&open.client, sql, patience).await?;
        self.open = Some(open);
        Ok(number)
    }

    async fn connect(&self) -> Result<Open, Trouble> {
        let (client, connection) = self.config.connect(self.tls.clone()).await.map_err(|error| Trouble::connecting(&error))?;
        // Its end shows in the client, which is closed then.
        let task = tokio::spawn(async { drop(connection.await) });
        Ok(Open { client, task })
    }
}

/// Asks `sql` in a transaction of its own that can write nothing and that the server itself ends before `patience` does.
async fn ask(client: &Client, sql: &str, patience: Duration) -> Result<f64, Trouble> {
    let asking = |error| Trouble::asking(&error, patience);
    let milliseconds = (patience * 4 / 5).as_millis().max(1);
    let begin = format!("BEGIN READ ONLY; SET LOCAL statement_timeout = {milliseconds}");
    client.batch_execute(&begin).await.map_err(asking)?;
    let mut rows = pin!(client.query_typed_raw::<i32, _>(sql, []).await.map_err(asking)?);
    let row = rows.try_next().await.map_err(asking)?.ok_or(Trouble::no_number("no row"))?;
    let number = number::of(&row)?;
    // The rest of a large answer is not read: the connection is given up instead.
    if rows.try_next().await.map_err(asking)?.is_some() {
        return Err(Trouble::no_number("more than one row"));
    }
    client.batch_execute("ROLLBACK").await.map_err(asking)?;
    Ok(number)
}

#[cfg(test)]
mod tests;
