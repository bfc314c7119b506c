//! Where the world stops answering: the exact place to kill a process at, before a call or after it with its answer lost.
//! Counts recorded requests, as [`crate::World::requests`] lists them.

/// From where on nothing is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stall {
    /// Everything is answered.
    #[default]
    Never,
    /// The request of this index, and every later one, hangs and has no effect.
    Before(usize),
    /// The request of this index takes effect, but its answer never comes; every later one hangs and has no effect.
    After(usize),
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    Answered,
    WithoutAnswer,
    WithoutEffect,
}

impl Stall {
    pub(crate) fn course(self, request: usize) -> Course {
        match self {
            Self::Never => Course::Answered,
            Self::Before(first) if request < first => Course::Answered,
            Self::Before(_) => Course::WithoutEffect,
            Self::After(last) if request < last => Course::Answered,
            Self::After(last) if request == last => Course::WithoutAnswer,
            Self::After(_) => Course::WithoutEffect,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_exact() {
        use Course::{Answered, WithoutAnswer, WithoutEffect};
        let courses = |stall: Stall| [0, 1, 2].map(|request| stall.course(request));
        assert_eq!(courses(Stall::Never), [Answered; 3]);
        assert_eq!(courses(Stall::Before(1)), [Answered, WithoutEffect, WithoutEffect]);
        assert_eq!(courses(Stall::After(1)), [Answered, WithoutAnswer, WithoutEffect]);
    }
}
