//! Descriptors: a constant in the program's image for each function that is used as a task.
//!
//! ```text
//! caller                                          worker, the same image at another address
//! Entry::of::<F>() - ANCHOR = offset  ──frame──►  ANCHOR + offset: aligned? in read-only memory of the program?
//!                                                 magic? fingerprint? only then `call`
//! ```
//!
//! Architecture invariant: a number from the wire is never jumped to. It names a place that is looked at, and what
//! is called is what the linker put there.

use std::any::type_name;
use std::marker::PhantomData;
use std::ops::Range;

use super::arity::{Arguments, TaskFn};
use super::call::call;
use super::create::{CreateFn, Make, Unmade, make};
use super::held::{Object, Wait};
use super::initializer::{InitFn, Prepare};
use super::method::{Invoke, Method, invoke};
use super::stretch::{Odd, Stretch, stretch};
use crate::os::Image;
use crate::wire::{Failure, Fd, Initializer, Input, Output};

/// Random words that stand at the head of each descriptor and, with certainty, nowhere else in read-only memory.
const MAGIC: [u64; 4] =
    [0x6d75_6c74_9a3e_51c7, 0xd1f0_82b6_7cc4_0e95, 0x3b58_e4f2_a96d_178b, 0xc40a_97e3_5d21_f86e];

/// What the words are compared by, so that no copy of them lies beside the compiled comparison.
const MAGIC_HASH: u64 = 0xe214_1d0b_242b_180c;

/// Offsets are counted from here.
static ANCHOR: u8 = 0;

type One = fn(Input<'_>, &mut Vec<Fd>, &mut Output) -> Result<(), Failure>;
type Many = fn(&mut Stretch<'_, '_>) -> Option<Odd>;

/// How a task is called: on one element, and on many at a stretch.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Call {
    one: One,
    many: Many,
}

#[repr(C)]
#[derive(Debug)]
struct Entry<C: 'static> {
    magic: [u64; 4],
    kind: u64,
    name: fn() -> &'static str,
    fingerprint: fn() -> u64,
    call: C,
}

/// What a descriptor can call; the kind is part of the check.
trait Callable: Copy + 'static {
    const KIND: u64;
}
impl Callable for Call {
    const KIND: u64 = 1;
}
impl Callable for Prepare {
    const KIND: u64 = 2;
}
impl Callable for Make {
    const KIND: u64 = 3;
}
impl Callable for Invoke {
    const KIND: u64 = 4;
}

/// A function that the workers of this program can run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task(&'static Entry<Call>);

/// An initializer that the workers of this program can run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InitializerRef(&'static Entry<Prepare>);

/// A function that makes an object for a manager.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MakerRef(&'static Entry<Make>);

/// A function that a manager can call on one of its objects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MethodRef(&'static Entry<Invoke>);

struct Of<F, Args, M>(PhantomData<(F, Args, M)>);

impl<F: TaskFn<Args, M>, Args: Arguments, M> Of<F, Args, M> {
    const ENTRY: &'static Entry<Call> = &Entry {
        magic: MAGIC,
        kind: Call::KIND,
        name: type_name::<F>,
        fingerprint: fingerprint::<F, Args, F::Value>,
        call: Call { one: call::<F, Args, M>, many: stretch::<F, Args, M> },
    };
}

struct Initial<F, Args, M>(PhantomData<(F, Args, M)>);

impl<F: InitFn<Args, M>, Args: Arguments, M> Initial<F, Args, M> {
    const ENTRY: &'static Entry<Prepare> = &Entry {
        magic: MAGIC,
        kind: Prepare::KIND,
        name: type_name::<F>,
        fingerprint: fingerprint::<F, Args, F::State>,
        call: super::initializer::prepare::<F, Args, M>,
    };
}

struct Making<F, Args, M>(PhantomData<(F, Args, M)>);

impl<F: CreateFn<Args, M>, Args: Arguments, M> Making<F, Args, M> {
    const ENTRY: &'static Entry<Make> = &Entry {
        magic: MAGIC,
        kind: Make::KIND,
        name: type_name::<F>,
        fingerprint: fingerprint::<F, Args, F::Object>,
        call: make::<F, Args, M>,
    };
}

struct On<F, T, Args, M>(PhantomData<(F, T, Args, M)>);

impl<F: Method<T, Args, M>, T: Send + 'static, Args: Arguments, M> On<F, T, Args, M> {
    const ENTRY: &'static Entry<Invoke> = &Entry {
        magic: MAGIC,
        kind: Invoke::KIND,
        name: type_name::<F>,
        fingerprint: fingerprint::<F, (T, Args), F::Value>,
        call: invoke::<F, T, Args, M>,
    };
}

impl Task {
    /// The descriptor of `F`, of which the caller has shown a value.
    pub(crate) fn of<F: TaskFn<Args, M>, Args: Arguments, M>(_shown: F) -> Self {
        const { assert!(size_of::<F>() == 0, "{}", CAPTURES) }
        Self(Of::<F, Args, M>::ENTRY)
    }

    /// The path of the function.
    pub(crate) fn name(self) -> &'static str {
        (self.0.name)()
    }

    /// What tells it, in half the room.
    pub(crate) fn namer(self) -> fn() -> &'static str {
        self.0.name
    }

    /// Where the descriptor lies, and what the worker must find there.
    pub(crate) fn reference(self) -> (i64, u64) {
        reference(self.0)
    }

    /// True if the workers of this program have the function: it is no part of a library loaded at run time.
    pub(crate) fn is_native(self) -> bool {
        is_native(self.0)
    }

    /// A number that no other task of this process has.
    pub(crate) fn key(self) -> usize {
        std::ptr::from_ref(self.0).addr()
    }

    /// Runs the function on encoded arguments, and appends its encoded result. The handles of the arguments are exchanged for those of
    /// the result; if it fails, whatever is left of them is of no use.
    pub(crate) fn call(
        self,
        input: Input<'_>,
        handles: &mut Vec<Fd>,
        out: &mut Output,
    ) -> Result<(), Failure> {
        (self.0.call.one)(input, handles, out)
    }

    /// Runs the function on many elements, up to one that is unlike the others.
    pub(crate) fn stretch(self, stretch: &mut Stretch<'_, '_>) -> Option<Odd> {
        (self.0.call.many)(stretch)
    }
}

impl InitializerRef {
    /// The descriptor of `F`, of which the caller has shown a value.
    pub(crate) fn of<F: InitFn<Args, M>, Args: Arguments, M>(_shown: F) -> Self {
        const { assert!(size_of::<F>() == 0, "{}", CAPTURES) }
        Self(Initial::<F, Args, M>::ENTRY)
    }

    /// As it travels.
    pub(crate) fn reference(self) -> Initializer {
        let (offset, fingerprint) = reference(self.0);
        Initializer { offset, fingerprint }
    }

    pub(crate) fn is_native(self) -> bool {
        is_native(self.0)
    }

    pub(crate) fn call(self, input: &[u8]) -> Result<super::State, String> {
        (self.0.call)(input)
    }
}

impl MakerRef {
    /// The descriptor of `F`, of which the caller has shown a value.
    pub(crate) fn of<F: CreateFn<Args, M>, Args: Arguments, M>(_shown: F) -> Self {
        const { assert!(size_of::<F>() == 0, "{}", CAPTURES) }
        Self(Making::<F, Args, M>::ENTRY)
    }

    /// The path of the function.
    pub(crate) fn name(self) -> &'static str {
        (self.0.name)()
    }

    /// Where the descriptor lies, and what the server must find there.
    pub(crate) fn reference(self) -> (i64, u64) {
        reference(self.0)
    }

    pub(crate) fn is_native(self) -> bool {
        is_native(self.0)
    }

    pub(crate) fn call(self, input: &[u8], handles: &mut Vec<Fd>) -> Result<Object, Unmade> {
        (self.0.call)(input, handles)
    }
}

impl MethodRef {
    /// The descriptor of `F`, of which the caller has shown a value.
    pub(crate) fn of<F: Method<T, Args, M>, T: Send + 'static, Args: Arguments, M>(_shown: F) -> Self {
        const { assert!(size_of::<F>() == 0, "{}", CAPTURES) }
        Self(On::<F, T, Args, M>::ENTRY)
    }

    /// The path of the function.
    pub(crate) fn name(self) -> &'static str {
        (self.0.name)()
    }

    /// Where the descriptor lies, and what the server must find there.
    pub(crate) fn reference(self) -> (i64, u64) {
        reference(self.0)
    }

    pub(crate) fn is_native(self) -> bool {
        is_native(self.0)
    }

    /// Calls the function on an object with encoded arguments, and appends its encoded result; as for [`Task::call`].
    pub(crate) fn call(
        self,
        object: &Object,
        input: &[u8],
        handles: &mut Vec<Fd>,
        out: &mut Output,
        wait: Wait<'_>,
    ) -> Result<(), Failure> {
        (self.0.call)(object, input, handles, out, wait)
    }
}

const CAPTURES: &str = "a task must be a function or a closure that captures nothing, and not a function pointer: \
     hand over what it needs as arguments";

/// The task behind a reference from the wire.
///
/// # Errors
///
/// What is wrong with the reference; nothing was called then.
pub(crate) fn resolve(offset: i64, fingerprint: u64) -> Result<Task, String> {
    find(offset, fingerprint).map(Task)
}

/// The initializer behind a reference from the wire; as for [`resolve`].
pub(crate) fn resolve_initializer(reference: &Initializer) -> Result<InitializerRef, String> {
    find(reference.offset, reference.fingerprint).map(InitializerRef)
}

/// The maker of an object behind a reference from the wire; as for [`resolve`].
pub(crate) fn resolve_maker(offset: i64, fingerprint: u64) -> Result<MakerRef, String> {
    find(offset, fingerprint).map(MakerRef)
}

/// The method behind a reference from the wire; as for [`resolve`].
pub(crate) fn resolve_method(offset: i64, fingerprint: u64) -> Result<MethodRef, String> {
    find(offset, fingerprint).map(MethodRef)
}

/// What whoever calls a function by name must agree on.
pub(crate) fn types_fingerprint<Args, Value>() -> u64 {
    fingerprint::<(), Args, Value>()
}

fn fingerprint<F, Args, Value>() -> u64 {
    let names = [type_name::<F>(), type_name::<Args>(), type_name::<Value>()];
    hash(names.iter().flat_map(|name| name.bytes().chain([0])))
}

/// FNV-1a.
fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn extent<C: 'static>(address: usize) -> Range<usize> {
    address..address.saturating_add(size_of::<Entry<C>>())
}

fn is_native<C>(entry: &'static Entry<C>) -> bool {
    Image::of_this_process().holds_read_only(&extent::<C>(std::ptr::from_ref(entry).addr()))
}

fn reference<C>(entry: &'static Entry<C>) -> (i64, u64) {
    let offset = std::ptr::from_ref(entry).expose_provenance().wrapping_sub((&raw const ANCHOR).addr());
    (offset.cast_signed() as i64, (entry.fingerprint)())
}

#[expect(unsafe_code, reason = "turns a checked descriptor into a reference")]
fn find<C: Callable>(offset: i64, fingerprint: u64) -> Result<&'static Entry<C>, String> {
    let offset = isize::try_from(offset).map_err(|_| "the offset is no address".to_owned())?;
    // Computed as a number that the compiler knows nothing of: a pointer made from `ANCHOR` may not leave its one
    // byte, and with optimization everything behind the first read through it was removed.
    let anchor = std::hint::black_box((&raw const ANCHOR).addr());
    let place = std::ptr::with_exposed_provenance::<Entry<C>>(anchor.wrapping_add_signed(offset));
    if !place.is_aligned() || !Image::of_this_process().holds_read_only(&extent::<C>(place.addr())) {
        return Err("the offset lies outside the program's read-only data".into());
    }
    // SAFETY: all of the place was just seen to lie in mapped, readable memory of the program that is never
    // written again, and it is aligned; any bits are a valid array of integers.
    let head = unsafe { place.cast::<[u64; 5]>().read() };
    if hash(head[..4].iter().flat_map(|word| word.to_le_bytes())) != MAGIC_HASH || head[4] != C::KIND {
        return Err("there is no task at the offset".into());
    }
    // SAFETY: the 256 random bits of the magic stand only at the head of constants of type `Entry<C>` of this
    // kind, and such a constant is valid for as long as the program runs.
    let entry = unsafe { &*place };
    if (entry.fingerprint)() == fingerprint {
        Ok(entry)
    } else {
        Err(format!("the task at the offset is {}, with other types than expected", (entry.name)()))
    }
}

/// A copy of the function value that the caller has shown to `Task::of`.
#[expect(unsafe_code, reason = "a value of a type without bytes is made from none")]
pub(super) fn conjure<F: Copy>() -> F {
    const { assert!(size_of::<F>() == 0, "{}", CAPTURES) }
    // SAFETY: `F` has no bytes, so reading it reads nothing. It is inhabited and a copy of it may exist, because
    // descriptors are made only by `of`, which is handed a value of `F`, and `F` is `Copy`.
    unsafe { std::ptr::NonNull::<F>::dangling().read() }
}

#[cfg(test)]
mod tests {
    use super::{
        ANCHOR, Call, Entry, MAGIC, MakerRef, MethodRef, Task, resolve, resolve_initializer, resolve_maker,
        resolve_method,
    };
    use crate::wire::{Initializer, Input, Output, decode};

    fn add(a: u32, b: u32) -> u32 {
        a + b
    }

    #[test]
    fn a_task_is_found_by_its_reference_and_can_be_called() {
        let (offset, fingerprint) = Task::of(add).reference();
        let task = resolve(offset, fingerprint).expect("it is ours");
        let mut input = Output::plain();
        input.put(&2_u32).and_then(|()| input.put(&3_u32)).expect("plain data");
        let mut out = Output::plain();
        task.call(Input::plain(input.bytes()), &mut Vec::new(), &mut out).expect("it adds");
        assert_eq!(decode::<u32>(out.bytes()), Ok(5));
    }

    #[test]
    fn a_reference_that_is_off_by_anything_is_refused() {
        let (offset, fingerprint) = Task::of(add).reference();
        for wrong in [1, -1, 8, -8, 64, 4096, -4096, 1 << 30, i64::MAX, i64::MIN] {
            assert!(resolve(offset.wrapping_add(wrong), fingerprint).is_err(), "off by {wrong}");
        }
        assert!(resolve(offset, fingerprint ^ 1).is_err());
        let reference = Initializer { offset, fingerprint };
        assert!(resolve_initializer(&reference).is_err(), "a task is no initializer");
    }

    #[test]
    fn methods_and_makers_are_found_by_their_own_references_alone() {
        let (task, types) = Task::of(add).reference();
        let method = MethodRef::of::<_, Vec<u8>, _, _>(Vec::push).reference();
        let maker = MakerRef::of(Vec::<u8>::new).reference();
        assert!(resolve_method(method.0, method.1).is_ok() && resolve_maker(maker.0, maker.1).is_ok());
        assert!(resolve_method(task, types).is_err() && resolve_maker(task, types).is_err());
        assert!(resolve(method.0, method.1).is_err() && resolve_maker(method.0, method.1).is_err());
        assert!(resolve(maker.0, maker.1).is_err() && resolve_method(maker.0, maker.1).is_err());
        assert!(resolve_method(method.0, method.1 ^ 1).is_err());
    }

    #[test]
    fn a_forged_descriptor_outside_of_read_only_memory_is_refused() {
        let forged = Box::new(Entry::<Call> {
            magic: MAGIC,
            kind: 1,
            name: || "forged",
            fingerprint: || 7,
            call: Call { one: |_, _, _| Ok(()), many: |_| None },
        });
        let offset = std::ptr::from_ref(&*forged).addr().wrapping_sub((&raw const ANCHOR).addr());
        assert!(resolve(offset.cast_signed() as i64, 7).is_err());
    }

    // fault 57
    #[test]
    fn any_offset_near_the_anchor_is_refused_or_is_a_task() {
        let (offset, fingerprint) = Task::of(add).reference();
        for near in -100_000..100_000 {
            assert!(near == offset || resolve(near, fingerprint).is_err());
        }
    }
}
