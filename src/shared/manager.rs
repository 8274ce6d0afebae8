//! A scope for shared memory with names.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::item::ListItem;
use super::list::ShareableList;
use super::memory::SharedMemory;
use crate::error::{Error, Result};

/// A scope for shared memory with names: when it ends, they are gone. Python: `multiprocessing.managers.SharedMemoryManager`.
///
/// Python needs one so that memory does not outlive its program; here none ever does. It is for names that are to go before the program ends, and all at once. There is no process behind it,
/// so that it needs no start, and no interrupt can hurt it. Whoever has the memory keeps it.
///
/// # Examples
///
/// ```
/// use multiprocess::{SharedMemory, SharedMemoryManager};
///
/// let manager = SharedMemoryManager::new();
/// let memory = manager.shared_memory(100)?;
/// let name = memory.name().expect("it has one").to_owned();
/// assert!(SharedMemory::blocking_open(&name).is_ok());
/// manager.shutdown();
/// assert!(SharedMemory::blocking_open(&name).is_err());
/// memory.write(0, &[1])?; // those that have it keep it
/// # Ok::<(), multiprocess::Error>(())
/// ```
#[derive(Debug)]
pub struct SharedMemoryManager {
    made: Mutex<Option<Made>>,
}

#[derive(Debug, Default)]
struct Made {
    memories: Vec<SharedMemory>,
    lists: Vec<ShareableList>,
}

impl SharedMemoryManager {
    /// A new one, with nothing in it.
    ///
    /// # Examples
    ///
    /// See [`SharedMemoryManager`].
    #[must_use]
    pub fn new() -> Self {
        Self { made: Mutex::new(Some(Made::default())) }
    }

    /// So many bytes with a name that nobody has. Python: `SharedMemory(size)`.
    ///
    /// # Errors
    ///
    /// As for [`SharedMemory::create_with_new_name`], and [`Error::Closed`] after [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    ///
    /// See [`SharedMemoryManager`].
    pub fn shared_memory(&self, size: usize) -> Result<SharedMemory> {
        let mut made = self.made();
        let made = made.as_mut().ok_or(Error::Closed)?;
        let memory = SharedMemory::create_with_new_name(size)?;
        made.memories.push(memory.clone());
        Ok(memory)
    }

    /// A list that is kept until the end of the scope. Python: `ShareableList(sequence)`.
    ///
    /// # Errors
    ///
    /// As for [`ShareableList::new`], and [`Error::Closed`] after [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    ///
    /// ```
    /// let manager = multiprocess::SharedMemoryManager::new();
    /// let list = manager.shareable_list([1, 2, 3])?;
    /// manager.shutdown();
    /// assert_eq!(list.get(2)?, 3.into());
    /// assert!(manager.shareable_list([1]).is_err());
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    pub fn shareable_list<I>(&self, items: I) -> Result<ShareableList>
    where
        I: IntoIterator,
        I::Item: Into<ListItem>,
    {
        let mut made = self.made();
        let made = made.as_mut().ok_or(Error::Closed)?;
        let list = ShareableList::new(items)?;
        made.lists.push(list.clone());
        Ok(list)
    }

    /// Ends the scope: all names that were given are gone, and no more are. Dropping it does the same. Python: `shutdown()`.
    ///
    /// # Examples
    ///
    /// See [`SharedMemoryManager`].
    pub fn shutdown(&self) {
        let made = self.made().take();
        for memory in made.iter().flat_map(|made| &made.memories) {
            // Somebody may have done it before, which is as good.
            let _unlinked = memory.unlink();
        }
    }

    fn made(&self) -> MutexGuard<'_, Option<Made>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for SharedMemoryManager {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for SharedMemoryManager {
    fn drop(&mut self) {
        if !crate::os::forked() {
            self.shutdown();
        }
    }
}
