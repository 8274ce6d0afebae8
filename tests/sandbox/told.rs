//! What is required, what is best effort, and what is told of it.

use multiprocess::worker::Hold;
use multiprocess::{Error, ProcessPool, Resource, Sandbox, SandboxPart, worker};

use super::{
    Folder, NO_ACCESS, RUNS, held, lacks_landlock, limits, no_new_privs, open_socket, read, remove_calls,
    sandboxed,
};
use crate::support::alone::alone;
use crate::support::{end, on_processes};

/// Fails the test unless the pool breaks for this part of its sandbox.
fn breaks_for(pool: &ProcessPool, part: SandboxPart, cause: &str) {
    let error = pool.blocking_apply(|| (), ()).expect_err("no worker starts");
    let Error::Sandbox { part: told, cause: why } = &error else { panic!("{error}") };
    assert_eq!(*told, part.to_string());
    assert!(why.contains(cause), "{error}");
    assert!(matches!(pool.blocking_ready(), Err(Error::Sandbox { .. })), "the pool is broken");
    pool.blocking_shutdown().expect("it ends");
    assert!(crate::support::census::descendants().is_empty());
}

// fault 71
#[test]
fn a_part_that_is_required_and_that_the_kernel_lacks_breaks_the_pool() {
    alone(|| {
        remove_calls(&[libc::SYS_landlock_create_ruleset]);
        breaks_for(&sandboxed(Sandbox::required().no_files()), SandboxPart::FileSystem, "no Landlock");
        remove_calls(&[libc::SYS_seccomp]);
        breaks_for(&sandboxed(Sandbox::required().no_exec()), SandboxPart::SystemCalls, "seccomp");
    });
}

// fault 71
#[test]
fn with_best_effort_the_worker_goes_on_without_what_the_kernel_lacks_and_tells_it() {
    alone(|| {
        remove_calls(&[libc::SYS_landlock_create_ruleset, libc::SYS_seccomp]);
        let sandbox = Sandbox::best_effort().no_new_privs().no_files().no_exec();
        let pool = sandboxed(sandbox.limit(Resource::OpenFiles, 50));
        let held = pool.blocking_apply(worker::sandbox, ()).expect(RUNS).expect("the pool has a sandbox");
        assert!(matches!(held.of(SandboxPart::FileSystem), Some(Hold::Not(_))), "{held:?}");
        assert!(matches!(held.of(SandboxPart::SystemCalls), Some(Hold::Not(_))), "{held:?}");
        assert_eq!(held.of(SandboxPart::NoNewPrivs), Some(&Hold::Whole));
        assert_eq!(held.of(SandboxPart::Limit(Resource::OpenFiles)), Some(&Hold::Whole));
        assert!(!held.is_whole());
        pool.blocking_shutdown().expect("it ends");
    });
}

#[test]
fn a_place_that_is_required_and_not_there_breaks_the_pool() {
    alone(|| {
        if !lacks_landlock() {
            let pool = sandboxed(Sandbox::required().read_only("/no/such/place"));
            breaks_for(&pool, SandboxPart::FileSystem, "/no/such/place");
        }
    });
}

async fn with_best_effort_a_place_that_is_not_there_is_told_and_the_rest_holds() {
    if lacks_landlock() {
        return;
    }
    let (folder, other) = (Folder::new("partly"), Folder::new("partly-not"));
    let pool = sandboxed(Sandbox::best_effort().read_only("/no/such/place").read_only(&folder.0));
    let held = held(&pool).await;
    let Some(Hold::Partly(why)) = held.of(SandboxPart::FileSystem) else { panic!("{held:?}") };
    assert!(why.contains("/no/such/place"), "{why}");
    assert_eq!(pool.apply(read, (folder.file(),)).await.expect(RUNS), Ok(()));
    assert_eq!(pool.apply(read, (other.file(),)).await.expect(RUNS), NO_ACCESS);
    end(pool).await;
}

async fn what_holds_names_the_parts_that_were_asked_for() {
    let sandbox = Sandbox::required().no_exec().limit(Resource::CoreSize, 0).no_new_privs().no_ptrace();
    let pool = sandboxed(sandbox);
    let held = held(&pool).await;
    let parts: Vec<_> = held.parts().map(|(part, _)| part).collect();
    let asked = [SandboxPart::NoNewPrivs, SandboxPart::Limit(Resource::CoreSize), SandboxPart::SystemCalls];
    assert_eq!(parts, asked);
    assert!(held.is_whole());
    end(pool).await;
}

async fn without_a_sandbox_nothing_is_taken_away() {
    let pool = ProcessPool::new(1).expect("the pool starts");
    assert!(pool.apply(worker::sandbox, ()).await.expect(RUNS).is_none());
    assert!(worker::sandbox().is_none(), "this is no worker");
    assert!(pool.apply(no_new_privs, ()).await.expect(RUNS).iter().all(|line| line == "0"));
    assert_eq!(pool.apply(open_socket, ()).await.expect(RUNS), Ok(()));
    let ours = limits(Resource::OpenFiles);
    assert_eq!(pool.apply(limits, (Resource::OpenFiles,)).await.expect(RUNS), ours);
    end(pool).await;
}

async fn a_sandbox_that_no_worker_can_be_in_is_refused() {
    let of = Sandbox::required;
    let impossible = [
        of().read_only(""),
        of().read_write("/a\0b"),
        of().limit(Resource::AddressSpace, 0),
        of().limit(Resource::CpuSeconds, 0),
        of().deny_syscalls([-1]),
        of().deny_syscalls([1 << 40]),
        of().deny_syscalls([libc::SYS_read]),
    ];
    for sandbox in impossible {
        let refused = ProcessPool::builder().workers(1).sandbox(sandbox).build();
        assert!(matches!(refused, Err(Error::Option { option: "sandbox", .. })), "{refused:?}");
    }
}

on_processes!(
    with_best_effort_a_place_that_is_not_there_is_told_and_the_rest_holds,
    what_holds_names_the_parts_that_were_asked_for,
    without_a_sandbox_nothing_is_taken_away,
    a_sandbox_that_no_worker_can_be_in_is_refused,
);
