//! The file system, taken away but for what is named (Landlock).

use std::ffi::OsString;
use std::os::fd::{AsFd as _, OwnedFd};

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError,
};
use rustix::fs::{FileType, fstat};

use super::threads::{Restriction, restrict_all};

/// The first version that knows all ways to change a file or where it stands (Linux 6.2).
const WHOLE: ABI = ABI::V3;

/// Takes the file system away from this process but for what is named. Gives what is different from that, if something is.
///
/// # Errors
///
/// Why nothing of it surely holds.
pub(crate) fn restrict_files(
    read_only: &[OsString],
    read_write: &[OsString],
) -> Result<Option<String>, String> {
    let mut lacking = Vec::new();
    let whole = new_ruleset(CompatLevel::HardRequirement);
    if whole.is_err() {
        lacking.push("the kernel has an older Landlock".to_owned());
    }
    let mut ruleset = whole.or_else(|_| new_ruleset(CompatLevel::BestEffort)).map_err(text)?;
    let read_only = read_only.iter().map(|path| (path, AccessFs::from_read(WHOLE)));
    let read_write = read_write.iter().map(|path| (path, AccessFs::from_all(WHOLE)));
    for (path, access) in read_only.chain(read_write) {
        match rule(path, access) {
            Ok(rule) => ruleset = ruleset.add_rule(rule).map_err(text)?,
            Err(why) => lacking.push(format!("{} cannot be allowed: {why}", path.display())),
        }
    }
    let descriptor: Option<OwnedFd> = ruleset.into();
    let Some(descriptor) = descriptor else { return Err("the kernel has no Landlock".into()) };
    restrict_all(Restriction::Files(descriptor.as_fd())).map_err(text)?;
    Ok((!lacking.is_empty()).then(|| lacking.join(", ")))
}

fn new_ruleset(level: CompatLevel) -> Result<RulesetCreated, RulesetError> {
    let ruleset = Ruleset::default().set_compatibility(level);
    ruleset.handle_access(AccessFs::from_all(WHOLE))?.create()
}

fn rule(path: &OsString, access: BitFlags<AccessFs>) -> Result<PathBeneath<PathFd>, String> {
    let place = PathFd::new(path).map_err(text)?;
    let is_directory = fstat(&place).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir());
    // What can only be done to directories is refused where there is none.
    let access = if is_directory { access } else { access & AccessFs::from_file(WHOLE) };
    Ok(PathBeneath::new(place, access))
}

/// An error with its causes, in one line.
fn text(error: impl std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.ends_with(&cause) { text } else { format!("{text}: {cause}") }
    })
}
