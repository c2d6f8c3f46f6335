# Goroutines in gdb. Load it by `source weft-gdb.py`; docs/debugging.md tells how to use it.
#
# Owns the commands `info goroutines` and `goroutine`. Nothing is ever written to the process, not even a register,
# so it works the same on a core file: a goroutine is selected by an unwinder, which says that the caller of the
# selected thread's innermost frame is the innermost frame of the goroutine. That innermost frame (a futex wait, in most
# cases) is not shown.
#
# It knows the layout of the table in runtime/src/inspect/debugger.rs, and nothing else of the runtime.

import re
import struct

import gdb
from gdb.unwinder import Unwinder

WORD = 8
MAGIC = int.from_bytes(b"weft gdb", "little")
VERSION = 1
PATH = "runtime::inspect::debugger::"
TABLE = "WEFT_DEBUGGER_TABLE"

IDLE, RUNNABLE, RUNNING, BLOCKED, WAITING, DEAD = 0, 1, 2, 3, 4, 6
STATES = {RUNNABLE: "runnable", RUNNING: "running", BLOCKED: "blocked", WAITING: "waiting"}

# Frames of these are not where a goroutine is, but how it got there.
INTERNAL = re.compile(
    r"^<?&?(runtime|channels|core|std|alloc|corosensei|parking_lot|parking_lot_core|lock_api|crossbeam\w*)::"
    r"|^<.* as (runtime|channels|core|std|alloc|corosensei)::|^__|^\?\?|^_rust|^stack_init_trampoline|^syscall$"
)
# Where a goroutine's stack begins; beyond it is whatever thread it ran on last.
ROOT = "stack_init_trampoline"
# So many frames are looked at for the first one of the user's.
DEPTH = 64


class Problem(gdb.GdbError):
    """What is shown to the user in place of a result."""


def read(address, size):
    """Bytes of the process, or of its core file."""
    return bytes(gdb.selected_inferior().read_memory(address, size))


def words(address, count):
    return struct.unpack("<%dQ" % count, read(address, count * WORD))


def word(address):
    return words(address, 1)[0]


def half(address):
    return struct.unpack("<I", read(address, 4))[0]


def text(address, length):
    return read(address, length).decode("utf-8", "replace")


class Table:
    """Where things are in this program."""

    def __init__(self, address):
        head = words(address, 16)
        if head[0] != MAGIC:
            raise Problem("weft: %s is not what this script expects" % TABLE)
        if head[1] != VERSION:
            raise Problem("weft: this script is for version %d of the runtime's table, and the program has %d: "
                          "use the script that comes with its runtime" % (VERSION, head[1]))
        (_, _, self.listed, self.chunk, self.size, self.id, self.status, self.reason, self.fiber, self.m, self.tag,
         self.saved, self.name, self.m_id, self.m_tid, reasons) = head
        texts = words(address + len(head) * WORD, 2 * reasons)
        self.reasons = [text(at, n) if n else "" for at, n in zip(texts[::2], texts[1::2])]


def tables():
    """The tables of all versions of the runtime in the program."""
    found = {int(symbol.value().address) for symbol in gdb.lookup_static_symbols(PATH + TABLE)}
    if not found:
        # Without debug information on variables there is the linker's symbol still.
        for line in gdb.execute("info variables %s" % TABLE, to_string=True).splitlines():
            m = re.match(r"^(0x[0-9a-f]+)\s", line)
            if m:
                found.add(int(m[1], 16))
    if not found:
        raise Problem("weft: there is no %s in this program: it does not use the runtime, or has no symbols" % TABLE)
    return [Table(a) for a in sorted(found)]


class Goroutine:
    """What one goroutine's header says."""

    def __init__(self, table, address):
        self.table = table
        self.address = address
        self.id = word(address + table.id)
        self.status = half(address + table.status)
        self.fiber = word(address + table.fiber)
        self.m = word(address + table.m)
        reason = read(address + table.reason, 1)[0]
        self.reason = table.reasons[reason] if reason < len(table.reasons) else "?"
        self.name = None
        tag = word(address + table.tag)
        if tag:
            at, length = words(tag + table.name, 2)
            if at:
                self.name = text(at, length)

    def state(self):
        if self.status == WAITING:
            return self.reason or "waiting"
        if self.status == RUNNABLE and not self.fiber:
            return "not started"
        return STATES.get(self.status, "?")

    def thread(self):
        """gdb's thread that it is on, or None."""
        if self.status not in (RUNNING, BLOCKED) or not self.m:
            return None
        tid = half(self.m + self.table.m_tid)
        for thread in gdb.selected_inferior().threads():
            if tid in thread.ptid[1:]:
                return thread
        return None

    def registers(self):
        """rip, rsp, rbp and rbx of one that is not on a thread, or None."""
        if self.status not in (WAITING, RUNNABLE) or not self.fiber or not self.table.saved:
            return None
        at = word(self.fiber + self.table.saved - 1)
        # What corosensei pushes before it saves the stack pointer.
        rip, rbx, rbp = words(at, 3)
        return rip, at + 3 * WORD, rbp, rbx


def goroutines():
    """All that have not ended, by their numbers."""
    found = []
    for table in tables():
        boxes, count = words(table.listed, 2)
        for i in range(count):
            first, number = words(boxes + 2 * WORD * i, 2)
            statuses = read(first, table.size * number)
            for n in range(number):
                status = struct.unpack_from("<I", statuses, n * table.size + table.status)[0]
                if status in STATES:
                    found.append(Goroutine(table, first + n * table.size))
    return sorted(found, key=lambda g: g.id)


class Selected(Unwinder):
    """While a goroutine is selected, the caller of the thread's innermost frame is the goroutine."""

    def __init__(self):
        super().__init__("weft-goroutine")
        self.registers = None
        self.inner = None
        self.roots = {}

    def select(self, registers):
        gdb.execute("frame 0", to_string=True)
        frame = gdb.newest_frame()
        self.inner = (int(frame.read_register("rsp")), frame.pc())
        self.registers = registers
        gdb.invalidate_cached_frames()
        older = gdb.newest_frame().older()
        if older is None:
            self.deselect()
            raise Problem("weft: gdb does not follow")
        older.select()

    def deselect(self):
        self.registers = None
        gdb.invalidate_cached_frames()

    def __call__(self, pending):
        if self.registers is None:
            return None
        sp, pc = int(pending.read_register("rsp")), int(pending.read_register("rip"))
        if (sp, pc) == self.inner:
            rip, rsp, rbp, rbx = self.registers
            # The innermost frame must seem to be below its caller.
            info = pending.create_unwind_info(FrameId(rsp - 2 * WORD, pc))
            return self.caller(pending, info, rip, rsp, rbp, rbx)
        if self.is_root(pc):
            # Beyond is the stack of whoever ran it last.
            info = pending.create_unwind_info(FrameId(sp, pc))
            return self.caller(pending, info, 0, sp + 2 * WORD, 0, 0)
        return None

    @staticmethod
    def caller(pending, info, rip, rsp, rbp, rbx):
        for name, value in (("rip", rip), ("rsp", rsp), ("rbp", rbp), ("rbx", rbx)):
            info.add_saved_register(name, long(value).cast(pending.read_register(name).type))
        return info

    def is_root(self, pc):
        if pc not in self.roots:
            self.roots[pc] = ROOT in gdb.execute("info symbol 0x%x" % pc, to_string=True)
        return self.roots[pc]


class FrameId:
    def __init__(self, sp, pc):
        self.sp = long(sp)
        self.pc = long(pc)


# C's `unsigned long`, whatever language is set; looked up when there is a program.
LONG = []


def long(value):
    if not LONG:
        language = gdb.parameter("language")
        gdb.execute("set language c", to_string=True)
        LONG.append(gdb.lookup_type("unsigned long"))
        gdb.execute("set language %s" % language, to_string=True)
    return gdb.Value(value).cast(LONG[0])


SELECTED = Selected()
gdb.unwinder.register_unwinder(None, SELECTED, replace=True)


class HideInnermost:
    """A frame filter: the thread's own innermost frame is no part of a goroutine's backtrace."""

    def __init__(self):
        self.name = "weft-goroutine"
        self.priority = 1000
        self.enabled = True
        gdb.frame_filters[self.name] = self

    def filter(self, frames):
        if SELECTED.registers is None:
            return frames
        # Nor is what the root seems to have been called by.
        real = (f for f in frames if f.inferior_frame().level() > 0)
        return (f for f in real if f.inferior_frame().pc() != 0)


HideInnermost()


class On:
    """With the goroutine selected, and everything as it was afterwards."""

    def __init__(self, goroutine):
        self.goroutine = goroutine

    def __enter__(self):
        long(0)  # now: it may not be looked up while a frame is unwound
        self.thread = gdb.selected_thread()
        try:
            self.frame = gdb.selected_frame()
        except gdb.error:
            self.frame = None
        self.level = self.frame.level() if self.frame is not None else 0
        registers = self.goroutine.registers()
        if registers is not None:
            SELECTED.select(registers)
            return self
        thread = self.goroutine.thread()
        if thread is None:
            if self.goroutine.status == RUNNABLE:
                raise Problem("goroutine %d has not started: it has no stack" % self.goroutine.id)
            raise Problem("goroutine %d is on a thread that is not there" % self.goroutine.id)
        thread.switch()
        return self

    def __exit__(self, *_):
        SELECTED.deselect()
        if self.thread is not None and self.thread.is_valid():
            self.thread.switch()
            try:
                gdb.execute("frame %d" % self.level, to_string=True)
            except gdb.error:
                pass  # it went on meanwhile
        return False


def place(frame):
    """`function at file:line`, as far as is known."""
    where = frame.name() or "0x%x" % frame.pc()
    line = frame.find_sal()
    if line is not None and line.symtab is not None:
        where += " at %s:%d" % (line.symtab.filename, line.line)
    return where


def first_user_frame(goroutine):
    try:
        with On(goroutine):
            frame = gdb.selected_frame()
            innermost = frame
            for _ in range(DEPTH):
                if frame is None:
                    break
                name = frame.name()
                if name and not INTERNAL.match(name):
                    return place(frame)
                frame = frame.older()
            return place(innermost)
    except (gdb.error, gdb.MemoryError):
        return ""


class InfoGoroutines(gdb.Command):
    """List the goroutines: number, state, name, and where each is.

Usage: info goroutines

The state of one that waits is what it waits for. Where it is, is the first frame that is neither the runtime's
nor the standard library's."""

    def __init__(self):
        super().__init__("info goroutines", gdb.COMMAND_STATUS, gdb.COMPLETE_NONE)

    def invoke(self, _argument, _from_tty):
        found = goroutines()
        if not found:
            print("There are no goroutines.")
            return
        for g in found:
            name = ' "%s"' % g.name if g.name else ""
            line = "%4d%s [%s]" % (g.id, name, g.state())
            where = first_user_frame(g)
            print(line + (" " + where if where else ""))


class GoroutineCommand(gdb.Command):
    """Run a gdb command in a goroutine, or in all of them.

Usage: goroutine NUMBER COMMAND
       goroutine all COMMAND

`goroutine 7 bt` shows its stack, `goroutine 7 frame function serve` one of its frames, `goroutine 7 up` the
second one. Nothing is changed: afterwards the thread and the frame are selected that were before."""

    def __init__(self):
        super().__init__("goroutine", gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    def invoke(self, argument, from_tty):
        parts = argument.split(None, 1)
        if len(parts) != 2:
            raise Problem("usage: goroutine NUMBER COMMAND, or goroutine all COMMAND")
        which, command = parts
        found = goroutines()
        if which == "all":
            for g in found:
                name = ' "%s"' % g.name if g.name else ""
                print("\nGoroutine %d%s [%s]:" % (g.id, name, g.state()))
                try:
                    self.run(g, command, from_tty)
                except (gdb.error, gdb.GdbError) as e:
                    print(e)
            return
        if not which.isdecimal():
            raise Problem("a goroutine's number is needed, or all, not %s" % which)
        for g in found:
            if g.id == int(which):
                self.run(g, command, from_tty)
                return
        raise Problem("there is no goroutine %s" % which)

    @staticmethod
    def run(goroutine, command, from_tty):
        with On(goroutine):
            gdb.execute(command, from_tty)


InfoGoroutines()
GoroutineCommand()
