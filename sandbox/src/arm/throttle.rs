//! Resource Manager's limits as Azure words them: a bucket of tokens for each kind of request of a subscription and principal,
//! refilled while it is not full ("Understand how Azure Resource Manager throttles requests").

use std::{sync::Mutex, time::Duration};

use hyper::Method;
use tokio::time::Instant;

use crate::shared::lock;

/// Whether requests are throttled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Throttling {
    /// Never.
    Off,
    /// As Azure does: reads 250 and 25 more a second, writes and deletes each 200 and 10 more a second.
    AsAzure,
}

/// The buckets of one subscription and principal.
pub(crate) struct Buckets {
    reads: Mutex<Bucket>,
    writes: Mutex<Bucket>,
    deletes: Mutex<Bucket>,
}

impl Buckets {
    /// Full ones, where requests are throttled.
    pub(crate) fn new(throttling: Throttling) -> Option<Self> {
        let bucket = |most, refill| Mutex::new(Bucket { tokens: most, most, refill, at: Instant::now() });
        match throttling {
            Throttling::Off => None,
            Throttling::AsAzure => Some(Self { reads: bucket(250.0, 25.0), writes: bucket(200.0, 10.0), deletes: bucket(200.0, 10.0) }),
        }
    }

    /// Takes a token for a request of this method; whether there was one.
    pub(crate) fn admits(&self, method: &Method) -> bool {
        let bucket = match *method {
            Method::GET | Method::HEAD => &self.reads,
            Method::DELETE => &self.deletes,
            _ => &self.writes,
        };
        lock(bucket).take(Instant::now())
    }
}

struct Bucket {
    tokens: f64,
    most: f64,
    /// Tokens a second.
    refill: f64,
    at: Instant,
}

impl Bucket {
    fn take(&mut self, now: Instant) -> bool {
        let since = now.duration_since(self.at);
        self.at = now;
        self.tokens = (self.tokens + since.max(Duration::ZERO).as_secs_f64() * self.refill).min(self.most);
        let is_there = self.tokens >= 1.0;
        if is_there {
            self.tokens -= 1.0;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_is_refilled_by_so_many_a_second() {
        let begun = Instant::now();
        let mut bucket = Bucket { tokens: 200.0, most: 200.0, refill: 10.0, at: begun };
        let taken = |bucket: &mut Bucket, at: u64| (0..300).take_while(|_| bucket.take(begun + Duration::from_secs(at))).count();
        assert_eq!(taken(&mut bucket, 0), 200);
        assert_eq!(taken(&mut bucket, 3), 30);
        assert_eq!(taken(&mut bucket, 1000), 200, "it is never more than full");
    }

    #[test]
    fn each_kind_of_request_has_its_own() {
        let buckets = Buckets::new(Throttling::AsAzure).expect("buckets");
        while buckets.admits(&Method::PUT) {}
        assert!(buckets.admits(&Method::GET) && buckets.admits(&Method::DELETE));
        assert!(Buckets::new(Throttling::Off).is_none());
    }
}
