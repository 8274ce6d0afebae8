//! Workers that are wrong from their first word on: another build, another protocol, nonsense, or nothing at all.
//!
//! A constructor of this program stands before the crate's own. In a worker that is told to be evil it takes the
//! pipes over as the crate would, and answers with what the test wants.

mod support;

use multiprocess::{Error, Exit, ProcessPool};
use support::evil::{frame, varint};
use support::foreign::SIGABRT;
use support::run;

/// By this variable a worker is told how to be evil.
const ENV: &str = "MULTIPROCESS_TEST_HELLO";

#[expect(unsafe_code, reason = "the pipes come by a call of the C library, before anything else has run")]
mod evil_worker {
    use std::ffi::{c_int, c_void};
    use std::fs::File;
    use std::io::Write as _;
    use std::os::fd::FromRawFd as _;

    use crate::support::foreign::exit_at_once;

    #[repr(C)]
    struct Part {
        start: *mut c_void,
        length: usize,
    }

    /// `struct msghdr` of 64-bit Linux.
    #[repr(C)]
    struct Header {
        name: *mut c_void,
        name_length: u32,
        parts: *mut Part,
        part_count: usize,
        control: *mut c_void,
        control_length: usize,
        flags: c_int,
    }

    /// `struct cmsghdr` with room for three descriptors.
    #[repr(C)]
    struct Control {
        length: usize,
        level: c_int,
        kind: c_int,
        descriptors: [c_int; 4],
    }

    unsafe extern "C" {
        unsafe fn recvmsg(socket: c_int, header: *mut Header, flags: c_int) -> isize;
    }

    #[used]
    // SAFETY: the section holds pointers to functions that the loader calls with more arguments than this one takes.
    #[unsafe(link_section = ".init_array.00100")]
    static ENTRY: extern "C" fn() = enter;

    extern "C" fn enter() {
        if let (Ok(manner), Ok(_)) = (std::env::var(super::ENV), std::env::var("MULTIPROCESS_WORKER")) {
            behave(&manner);
        }
    }

    fn behave(manner: &str) -> ! {
        match manner {
            "exit" => exit_at_once(9),
            "abort" => std::process::abort(),
            _ => {}
        }
        let mut reports = reports();
        let _may_be_refused = reports.write_all(&super::words(manner));
        if manner == "exit after hello" {
            exit_at_once(9);
        }
        // The pool has to end it.
        loop {
            std::thread::park();
        }
    }

    /// The pipe to the pool, which comes second by the control socket.
    fn reports() -> File {
        let mut bytes = [0_u8; 256];
        let mut part = Part { start: bytes.as_mut_ptr().cast(), length: bytes.len() };
        let mut control = Control { length: 0, level: 0, kind: 0, descriptors: [-1; 4] };
        let mut header = Header {
            name: std::ptr::null_mut(),
            name_length: 0,
            parts: &raw mut part,
            part_count: 1,
            control: (&raw mut control).cast(),
            control_length: size_of::<Control>(),
            flags: 0,
        };
        // SAFETY: the header describes memory that lives and is used by nobody else during the call.
        let received = unsafe { recvmsg(0, &raw mut header, 0) };
        assert!(received > 0 && control.descriptors[1] > 2, "the pool has sent the pipes");
        // SAFETY: it has just come, and nobody else has it.
        unsafe { File::from_raw_fd(control.descriptors[1]) }
    }
}

/// What an evil worker says.
fn words(manner: &str) -> Vec<u8> {
    match manner {
        "another build" => frame(&[&[0, 3][..], &varint(12_345)].concat()),
        "another protocol" => frame(&[&[0, 99][..], &varint(12_345)].concat()),
        "ready at once" => frame(&[1]),
        "a reply at once" => frame(&[3, 1, 0, 1, 1, 0, 2, 0, 7]),
        "an unknown word" => frame(&[77, 1, 2, 3]),
        "nothing in a frame" => frame(&[]),
        "too long a word" => u32::MAX.to_be_bytes().to_vec(),
        _ => Vec::new(),
    }
}

/// Why a pool gave up whose workers all behave in one manner.
async fn causes(manner: &str) -> Vec<Error> {
    let pool = ProcessPool::builder().workers(2).env(ENV, manner).build().expect("the pool starts");
    let error = pool.apply(|| 1, ()).await.expect_err("no worker takes calls");
    let Error::Broken { causes } = error else { panic!("{manner}: {error:?}") };
    assert!(matches!(pool.apply(|| 1, ()).await, Err(Error::Broken { .. })), "it stays so");
    pool.join().await.expect("nothing is left of it");
    causes
}

async fn is_incompatible(manner: &str, why: &str) {
    for cause in causes(manner).await {
        let text = cause.to_string();
        assert!(matches!(cause, Error::Incompatible { .. }), "{manner}: {text}");
        assert!(text.contains(why), "{manner}: {text}");
    }
}

// fault 57
#[test]
fn a_worker_of_another_build_is_refused_before_any_task() {
    run(is_incompatible("another build", "it runs another build"));
}

// fault 57
#[test]
fn a_worker_that_speaks_another_protocol_is_refused() {
    run(is_incompatible("another protocol", "it speaks version 99"));
}

// faults 24, 25
#[test]
fn a_worker_whose_first_word_is_wrong_is_refused() {
    run(async {
        for manner in
            ["ready at once", "a reply at once", "an unknown word", "nothing in a frame", "too long a word"]
        {
            is_incompatible(manner, "").await;
        }
    });
}

// fault 12
#[test]
fn a_worker_that_ends_before_its_first_word_is_a_failed_start_with_its_exit() {
    run(async {
        for (manner, exit) in
            [("exit", Exit::Code(9)), ("exit after hello", Exit::Code(9)), ("abort", Exit::Signal(SIGABRT))]
        {
            for cause in causes(manner).await {
                match cause {
                    Error::WorkerDied(death) => {
                        assert_eq!((death.exit, death.task), (exit, None), "{manner}");
                    }
                    other => panic!("{manner}: {other:?}"),
                }
            }
        }
    });
}
