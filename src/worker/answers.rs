//! What a worker answers by: the pipe of its reports, and the socket for the handles of its results.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::execute::Answer;
use crate::os;
use crate::wire::{Failure, Fd, Frame, Luggage, Records, Report, failed_record};

#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) reports: OwnedFd,
    pub(crate) handles: OwnedFd,
}

impl Answers {
    pub(super) fn report(&self, report: &Report, payload: Vec<u8>) -> io::Result<()> {
        write(&self.reports, report, payload)
    }

    /// Sends the handles of the last of these results, and hands its block over. If they cannot be sent, that result is an error. Comes right before the reply.
    pub(super) fn send_ahead(&self, answer: &mut Answer) {
        match self.pass(&answer.handles) {
            Ok(()) => answer.reply.stowed = answer.stow(),
            Err(error) => {
                answer.reply.handles = 0;
                let failure = Failure::Encode(format!("its handles cannot be sent: {error}"));
                fail_last(&mut answer.records, &failure);
            }
        }
    }

    /// Whoever is gone misses nothing.
    fn pass(&self, handles: &[Fd]) -> io::Result<()> {
        if handles.is_empty() {
            return Ok(());
        }
        let descriptors: Vec<_> = handles.iter().map(Fd::as_fd).collect();
        os::pass_waiting(&self.handles, &descriptors)
            .or_else(|error| if os::is_gone(&error) { Ok(()) } else { Err(error) })
    }

    /// Takes the handles of a call, which were sent before it.
    ///
    /// # Errors
    ///
    /// They are not there, since a task has taken them or has closed the socket.
    pub(super) fn luggage(&self, announced: &[(u32, u8)]) -> io::Result<Luggage> {
        let mut luggage = Luggage::default();
        for (element, count) in announced {
            let taken = os::take_passed(&self.handles, *count)?;
            luggage.add(*element, &mut taken.into_iter().map(Fd::new).collect());
        }
        Ok(luggage)
    }
}

fn fail_last(records: &mut Vec<u8>, failure: &Failure) {
    let mut reader = Records::new(records);
    let before_last = reader.clone().count().saturating_sub(1);
    reader.by_ref().take(before_last).for_each(drop);
    let rest = reader.rest().len();
    records.truncate(records.len() - rest);
    failed_record(records, failure);
}

pub(super) fn write(reports: &OwnedFd, report: &Report, payload: Vec<u8>) -> io::Result<()> {
    let frame = Frame::new(report, payload.into());
    os::write_all(reports, &frame.head)?;
    os::write_all(reports, &frame.body)
}
