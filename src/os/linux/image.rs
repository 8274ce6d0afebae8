//! The program's own image in memory: where it lies, what of it is read-only, and which build it is.

use std::ffi::{c_int, c_void};
use std::hash::{DefaultHasher, Hasher as _};
use std::ops::Range;
use std::slice;
use std::sync::OnceLock;

/// The main program as the loader mapped it.
#[derive(Debug, Default)]
pub(crate) struct Image {
    read_only: Vec<Range<usize>>,
    identity: DefaultHasher,
}

impl Image {
    /// The image of this process, looked up once.
    pub(crate) fn of_this_process() -> &'static Self {
        static IMAGE: OnceLock<Image> = OnceLock::new();
        IMAGE.get_or_init(|| {
            let mut image = Self::default();
            // SAFETY: `visit` matches the type asked for, and `image` outlives the call, which ends with it.
            unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut image).cast()) };
            image
        })
    }

    /// A number that two processes share only if they run the same build: a hash of the program headers and the
    /// notes, the build-id among them.
    pub(crate) fn identity(&self) -> u64 {
        self.identity.finish()
    }

    /// True if all of `range` lies in memory of the program that nothing can write to any more.
    pub(crate) fn holds_read_only(&self, range: &Range<usize>) -> bool {
        self.read_only.iter().any(|part| part.start <= range.start && range.end <= part.end)
    }

    fn add(&mut self, base: usize, header: &libc::Elf64_Phdr) {
        let (Ok(address), Ok(length)) = (usize::try_from(header.p_vaddr), usize::try_from(header.p_memsz))
        else {
            return;
        };
        let start = base.wrapping_add(address);
        let range = start..start.saturating_add(length);
        let writable = header.p_flags & libc::PF_W != 0;
        let readable = header.p_flags & libc::PF_R != 0;
        let sealed_after_relocation = header.p_type == libc::PT_GNU_RELRO;
        if sealed_after_relocation || (header.p_type == libc::PT_LOAD && readable && !writable) {
            self.read_only.push(range.clone());
        }
        for word in [u64::from(header.p_type), header.p_flags.into(), header.p_vaddr, header.p_filesz] {
            self.identity.write_u64(word);
        }
        if header.p_type == libc::PT_NOTE {
            // SAFETY: the loader has mapped the notes of the main program at this address, read-only, for ever.
            self.identity.write(unsafe { slice::from_raw_parts(start as *const u8, length) });
        }
    }
}

/// Called for each object in memory, the main program first: only that one counts.
unsafe extern "C" fn visit(info: *mut libc::dl_phdr_info, _size: usize, image: *mut c_void) -> c_int {
    // SAFETY: the caller passes a valid description for the time of the call.
    let info = unsafe { &*info };
    // SAFETY: this is the `image` that was handed to `dl_iterate_phdr`, used by nobody else meanwhile.
    let image = unsafe { &mut *image.cast::<Image>() };
    // SAFETY: the loader's headers are an array of this length, alive as long as the object.
    let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let base = usize::try_from(info.dlpi_addr).unwrap_or(0);
    for header in headers {
        image.add(base, header);
    }
    1
}
