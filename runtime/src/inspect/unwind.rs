//! The frames of a stack that was copied: by the tables that the compiler makes for unwinding (DWARF's call
//! frame information), so that programs need no frame pointers. `framehop` reads the tables; they are found
//! by way of the dynamic linker.

use super::goroutine::StackPicture;
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, FrameAddress, Module, Unwinder as _};
use std::borrow::Cow;
use std::ffi::c_void;

/// Most frames of one stack that are shown: a runaway recursion repeats itself long before.
pub(crate) const MAX_FRAMES: usize = 128;

type Data = Cow<'static, [u8]>;

/// Unwinds stacks of this process, as it was loaded when this was made.
pub(crate) struct Unwinder {
    unwinder: UnwinderX86_64<Data>,
    cache: CacheX86_64<framehop::MayAllocateDuringUnwind>,
}

impl Unwinder {
    pub(crate) fn new() -> Unwinder {
        let mut unwinder = UnwinderX86_64::new();
        // SAFETY: the callback gets what it expects.
        unsafe { libc::dl_iterate_phdr(Some(add_module), (&raw mut unwinder).cast()) };
        Unwinder {
            unwinder,
            cache: CacheX86_64::new(),
        }
    }

    /// The addresses of the frames, innermost first: where each goes on, less one where that is behind a
    /// call, so that it is in the line of the call.
    pub(crate) fn frames(&mut self, stack: &StackPicture) -> Vec<usize> {
        if !cfg!(target_arch = "x86_64") {
            return Vec::new();
        }
        let regs = UnwindRegsX86_64::new(stack.pc as u64, stack.sp as u64, stack.bp as u64);
        let mut read = |at: u64| {
            let offset = (at as usize).checked_sub(stack.sp).ok_or(())?;
            let word = stack.words.get(offset / size_of::<usize>()).ok_or(())?;
            Ok(*word as u64)
        };
        let mut frames = Vec::new();
        let pc = stack.pc as u64;
        let mut found = self
            .unwinder
            .iter_frames(pc, regs, &mut self.cache, &mut read);
        while let Ok(Some(frame)) = found.next() {
            frames.push(match frame {
                FrameAddress::InstructionPointer(at) => at as usize,
                FrameAddress::ReturnAddress(at) => at.get() as usize - 1,
            });
            if frames.len() == MAX_FRAMES {
                break;
            }
        }
        frames
    }
}

/// Adds one loaded object.
///
/// # Safety
/// `info` is what `dl_iterate_phdr` gives, `data` the unwinder.
unsafe extern "C" fn add_module(
    info: *mut libc::dl_phdr_info,
    _: libc::size_t,
    data: *mut c_void,
) -> libc::c_int {
    // SAFETY: the caller's promise.
    let (unwinder, info) = unsafe { (&mut *data.cast::<UnwinderX86_64<Data>>(), &*info) };
    // SAFETY: so many program headers.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let loaded = |h: &&libc::Elf64_Phdr| h.p_type == libc::PT_LOAD;
    let range = |h: &libc::Elf64_Phdr| h.p_vaddr..h.p_vaddr + h.p_memsz;
    let header = headers.iter().find(|h| h.p_type == libc::PT_GNU_EH_FRAME);
    let text = headers
        .iter()
        .filter(loaded)
        .find(|h| h.p_flags & libc::PF_X != 0);
    let whole = headers.iter().filter(loaded).map(range);
    let whole = whole.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end));
    let (Some(header), Some(text), Some(whole)) = (header, text, whole) else {
        return 0;
    };
    let base = info.dlpi_addr;
    let at = header.p_vaddr;
    // SAFETY: a segment of an object that is loaded, and stays so while this is called.
    let bytes = |from: u64, to: u64| unsafe {
        let start = std::ptr::with_exposed_provenance((base + from) as usize);
        std::slice::from_raw_parts(start, (to - from) as usize)
    };
    let table = bytes(at, at + header.p_memsz);
    // Its first field says where `.eh_frame` is; as all linkers write it: relative to itself.
    const PC_RELATIVE_4: u8 = 0x1b;
    if table.len() < 8 || table[1] != PC_RELATIVE_4 {
        return 0;
    }
    let offset = i32::from_le_bytes([table[4], table[5], table[6], table[7]]);
    let frames = (at + 4).wrapping_add_signed(i64::from(offset));
    let segment = headers.iter().filter(loaded).map(range);
    let Some(segment) = segment.into_iter().find(|s| s.contains(&frames)) else {
        return 0;
    };
    // The program itself is never unloaded; of a library, a copy is kept.
    let main = info.dlpi_name.is_null() || {
        // SAFETY: a string that ends.
        unsafe { *info.dlpi_name == 0 }
    };
    let keep = |bytes: &'static [u8]| match main {
        true => Cow::Borrowed(bytes),
        false => Cow::Owned(bytes.to_vec()),
    };
    let sections = ExplicitModuleSectionInfo {
        base_svma: 0,
        text_svma: Some(range(text)),
        eh_frame_svma: Some(frames..segment.end),
        eh_frame: Some(keep(bytes(frames, segment.end))),
        eh_frame_hdr_svma: Some(range(header)),
        eh_frame_hdr: Some(keep(table)),
        ..Default::default()
    };
    unwinder.add_module(Module::new(
        String::new(),
        base + whole.start..base + whole.end,
        base,
        sections,
    ));
    0
}
