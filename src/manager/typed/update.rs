//! Changing a value where it is: a function that is sent to it, as a method is.

use crate::error::{Error, Result};
use crate::manager::blob::{Blob, Raw};
use crate::task::{Arguments, Method, Payload};
use crate::wire::{Arriving, Collecting, Input, Output};

/// Arguments as they travel to a method that is called inside of another one.
pub(super) fn arguments(args: &impl Arguments) -> Result<Blob> {
    let (mut bytes, mut handles) = (Output::plain(), Vec::new());
    let collecting = Collecting::begin();
    let encoded = args.encode(&mut bytes);
    collecting.end(&mut handles);
    encoded.map_err(|cause| Error::EncodeMessage { cause })?;
    Ok(Blob { bytes: Raw(bytes.into_bytes()), handles })
}

/// Calls a method on a value as it is kept, in the process that keeps it. If it panics, the value is as before.
pub(super) fn apply<T, F, Args, M>(kept: &mut Blob, args: Blob, method: F) -> Result<Blob, String>
where
    T: Payload,
    F: Method<T, Args, M>,
    Args: Arguments,
{
    let text = |error: Error| error.to_string();
    let mut value: T = kept.clone().open().map_err(text)?;
    let Blob { bytes, mut handles } = args;
    let args = {
        let _arriving = Arriving::begin(&mut handles);
        Args::decode(Input::plain(&bytes.0))?
    };
    let result = method.apply(&mut value, args);
    let changed = Blob::of(&value).map_err(text)?;
    let result = Blob::of(&result).map_err(text)?;
    *kept = changed;
    Ok(result)
}

/// What came of it.
pub(super) fn outcome<R: Payload>(result: Result<Option<Blob>, String>) -> Result<Option<R>> {
    let result = result.map_err(|cause| Error::DecodeMessage { cause })?;
    result.map(Blob::open).transpose()
}
