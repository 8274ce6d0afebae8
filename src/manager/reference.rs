//! A proxy without its type: which object of which server, and the door to it.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::call::Call;
use super::lines::Lines;
use super::message::{Answer, Ask, Door, Line, Request, What};
use crate::error::Result;
use crate::task::{Arguments, Payload};

#[derive(Debug, Clone)]
pub(super) struct Reference {
    lines: Arc<Lines>,
    door: Arc<Door>,
    pub(super) object: u64,
}

/// A call with its request.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) call: Call,
    pub(super) request: Request,
}

impl Reference {
    pub(super) fn new(lines: Arc<Lines>, door: Door, object: u64) -> Self {
        Self { lines, door: Arc::new(door), object }
    }

    pub(super) fn server(&self) -> u128 {
        self.lines.server
    }

    /// A request to this object.
    pub(super) fn ask(&self, what: What, call: &Call) -> Request {
        Request::Ask(Ask { object: self.object, what, arguments: call.arguments() })
    }

    /// A request to call what is the crate's own.
    pub(super) fn ours(&self, name: &'static str, args: &impl Arguments) -> Result<Asked> {
        let call = Call::of(name, self.object, args)?;
        let request = self.ask(What::CallOurs { name: name.to_owned() }, &call);
        Ok(Asked { call, request })
    }

    pub(super) async fn finish<R: Payload>(&self, asked: Asked) -> Result<R> {
        let Asked { call, request } = asked;
        call.value(self.exchange(request).await?)
    }

    pub(super) fn blocking_finish<R: Payload>(&self, asked: &Asked) -> Result<R> {
        asked.call.value(self.blocking_exchange(&asked.request)?)
    }

    pub(super) async fn exchange(&self, request: Request) -> Result<Answer> {
        let line = self.lines.take(&self.door).await?;
        let answer = talk(&line, &request).await?;
        self.lines.put(line);
        Ok(answer)
    }

    pub(super) fn blocking_exchange(&self, request: &Request) -> Result<Answer> {
        let line = self.lines.blocking_take(&self.door)?;
        let answer = blocking_talk(&line, request)?;
        self.lines.put(line);
        Ok(answer)
    }

    /// As `exchange`; the line stays with the caller, since the server keeps something for its session.
    pub(super) async fn exchange_and_keep(&self, request: Request) -> Result<(Answer, Line)> {
        let line = self.lines.take(&self.door).await?;
        let answer = talk(&line, &request).await?;
        Ok((answer, line))
    }

    pub(super) fn blocking_exchange_and_keep(&self, request: &Request) -> Result<(Answer, Line)> {
        let line = self.lines.blocking_take(&self.door)?;
        let answer = blocking_talk(&line, request)?;
        Ok((answer, line))
    }

    /// Puts back a line on which nothing is kept any more.
    pub(super) fn put(&self, line: Line) {
        self.lines.put(line);
    }

    /// What the server has made.
    pub(super) fn to_made(&self, object: u64, door: Door) -> Self {
        Self::new(Arc::clone(&self.lines), door, object)
    }
}

/// What cannot be encoded is an error of the call that is made of it.
pub(super) fn attempt(ask: impl FnOnce() -> Result<Asked>) -> Result<Asked> {
    ask()
}

pub(super) async fn talk(line: &Line, request: &Request) -> Result<Answer> {
    line.send(request).await?;
    line.recv().await
}

pub(super) fn blocking_talk(line: &Line, request: &Request) -> Result<Answer> {
    line.blocking_send(request)?;
    line.blocking_recv()
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.lines.server, self.object, &*self.door).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (server, object, door) = <(u128, u64, Door)>::deserialize(deserializer)?;
        Ok(Self::new(Lines::to(server), door, object))
    }
}
