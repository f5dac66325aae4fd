//! The seccomp filter by which the tracer hears of calls that it answers (seccomp(2), `SECCOMP_RET_TRACE`).

use std::{io, ptr};

use super::check;

/// Architectures, as the audit subsystem numbers them (linux/audit.h).
const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;

/// The bit of a call's number that makes it one of x32 (asm/unistd.h), and all the others.
const X32: u32 = 0x4000_0000;

/// Where the filter finds things in `struct seccomp_data`.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const FIRST_ARGUMENT_AT: u32 = 16;
const SECOND_ARGUMENT_AT: u32 = 24;
const FOURTH_ARGUMENT_AT: u32 = 40;

const GETRANDOM: u32 = 318;
const CLOCK_GETTIME: u32 = 228;
const GETTIMEOFDAY: u32 = 96;
const TIME: u32 = 201;
const FUTEX: u32 = 202;
const CLOCK_NANOSLEEP: u32 = 230;

/// `FUTEX_CLOCK_REALTIME` (linux/futex.h) and `TIMER_ABSTIME` (linux/time.h): the wait ends at a time of day.
const BY_WALL_CLOCK: u32 = 256;
const ABSOLUTE: u32 = 1;

/// `time`, `gettimeofday`, `clock_gettime`, `clock_gettime64` and `getrandom` of 32-bit programs.
const CLOCKS_OF_I386: [u32; 4] = [13, 78, 265, 403];
const GETRANDOM_OF_I386: u32 = 355;

/// Which calls are told of. Those of other architectures that do the same are killed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) random: bool,
    /// The clocks that `clock_gettime` is told of for; where there are any, `gettimeofday` and `time` are as well.
    pub(crate) clocks: Vec<i32>,
    /// Whether waits are told of that end at a time of day.
    pub(crate) deadlines: bool,
}

/// A filter, ready to be installed.
#[derive(Clone, Debug)]
pub(crate) struct Filter(Vec<libc::sock_filter>);

impl Filter {
    /// Nothing where nothing is to be told.
    pub(crate) fn of(told: &Told) -> Option<Self> {
        (told.random || !told.clocks.is_empty()).then(|| Self(instructions(told)))
    }

    /// Puts it on this thread and what it starts. Without `CAP_SYS_ADMIN` that takes the promise that nothing started from
    /// here gains privileges.
    pub(crate) fn install(&mut self) -> io::Result<()> {
        let program = libc::sock_fprog {
            len: u16::try_from(self.0.len()).expect("some dozens of instructions"),
            filter: self.0.as_mut_ptr(),
        };
        install(&program).or_else(|error| match error.raw_os_error() {
            Some(libc::EACCES) => {
                // SAFETY: prctl with this option reads four numbers.
                check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
                install(&program)
            }
            _ => Err(error),
        })
    }
}

fn install(program: &libc::sock_fprog) -> io::Result<()> {
    let flags = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    // SAFETY: the program and its instructions outlive the call, which copies them.
    let done =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, ptr::from_ref(program)) };
    check(i32::try_from(done).unwrap_or(-1))
}

fn instructions(told: &Told) -> Vec<libc::sock_filter> {
    let (trace, kill) = (libc::SECCOMP_RET_TRACE, libc::SECCOMP_RET_KILL_PROCESS);
    let mut ours = Vec::new();
    if told.random {
        ours.push(GETRANDOM);
    }
    let mut of_i386: Vec<u32> = told.random.then_some(GETRANDOM_OF_I386).into_iter().collect();
    if !told.clocks.is_empty() {
        ours.extend([GETTIMEOFDAY, TIME]);
        of_i386.extend(CLOCKS_OF_I386);
    }
    let mut of_x32 = ours.clone();
    of_x32.extend((!told.clocks.is_empty()).then_some(CLOCK_GETTIME));

    let mut program = vec![load(ARCHITECTURE_AT)];
    let mut foreign = vec![load(NUMBER_AT)];
    foreign.extend(when_any(&of_i386, kill));
    foreign.push(answer(libc::SECCOMP_RET_ALLOW));
    program.extend(when(I386, foreign));
    // Anything else that is not ours is nothing that this processor runs.
    program.push(jump(libc::BPF_JEQ, X86_64, 1, 0));
    program.push(answer(kill));
    program.push(load(NUMBER_AT));
    let mut x32 = vec![instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, !X32, 0, 0)];
    x32.extend(when_any(&of_x32, kill));
    x32.push(answer(libc::SECCOMP_RET_ALLOW));
    program.push(jump(libc::BPF_JGE, X32, 0, len(&x32)));
    program.extend(x32);
    program.extend(when_any(&ours, trace));
    if !told.clocks.is_empty() {
        let mut clock = vec![load(FIRST_ARGUMENT_AT)];
        let clocks: Vec<u32> = told.clocks.iter().map(|clock| clock.cast_unsigned()).collect();
        clock.extend(when_any(&clocks, trace));
        clock.push(answer(libc::SECCOMP_RET_ALLOW));
        program.extend(when(CLOCK_GETTIME, clock));
    }
    if told.deadlines {
        let mut futex = vec![load(SECOND_ARGUMENT_AT), jump(libc::BPF_JSET, BY_WALL_CLOCK, 1, 0)];
        futex.push(answer(libc::SECCOMP_RET_ALLOW));
        // One that names no moment waits for ever, as semaphores of the C library do.
        for half in [FOURTH_ARGUMENT_AT, FOURTH_ARGUMENT_AT + 4] {
            futex.extend([load(half), jump(libc::BPF_JEQ, 0, 1, 0), answer(trace)]);
        }
        futex.push(answer(libc::SECCOMP_RET_ALLOW));
        program.extend(when(FUTEX, futex));
        let mut sleep = vec![load(SECOND_ARGUMENT_AT), jump(libc::BPF_JSET, ABSOLUTE, 1, 0)];
        sleep.push(answer(libc::SECCOMP_RET_ALLOW));
        sleep.push(load(FIRST_ARGUMENT_AT));
        let clocks: Vec<u32> = told.clocks.iter().map(|clock| clock.cast_unsigned()).collect();
        sleep.extend(when_any(&clocks, trace));
        sleep.push(answer(libc::SECCOMP_RET_ALLOW));
        program.extend(when(CLOCK_NANOSLEEP, sleep));
    }
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    program
}

/// Does `then` where what is loaded is `value`.
fn when(value: u32, then: Vec<libc::sock_filter>) -> Vec<libc::sock_filter> {
    let mut block = vec![jump(libc::BPF_JEQ, value, 0, len(&then))];
    block.extend(then);
    block
}

fn when_any(values: &[u32], action: u32) -> Vec<libc::sock_filter> {
    values.iter().flat_map(|value| when(*value, vec![answer(action)])).collect()
}

fn len(block: &[libc::sock_filter]) -> u8 {
    u8::try_from(block.len()).expect("blocks are short")
}

fn load(at: u32) -> libc::sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at, 0, 0)
}

fn answer(action: u32) -> libc::sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, action, 0, 0)
}

/// Both jumps count from the instruction after this one.
fn jump(test: u32, value: u32, jump: u8, or: u8) -> libc::sock_filter {
    instruction(libc::BPF_JMP | test | libc::BPF_K, value, jump, or)
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code: u16::try_from(code).expect("codes have 16 bits"), jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const TRACE: u32 = libc::SECCOMP_RET_TRACE;
    const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;

    /// What the kernel would do with a call, instruction by instruction.
    fn outcome(told: &Told, architecture: u32, number: u32, argument: u64) -> u32 {
        outcome_of(told, architecture, number, [argument, 0, 0])
    }

    /// The same with the second and the fourth argument.
    fn outcome_of(told: &Told, architecture: u32, number: u32, [first, second, fourth]: [u64; 3]) -> u32 {
        let program = instructions(told);
        let (mut at, mut loaded) = (0, 0);
        loop {
            let step = program[at];
            at += 1;
            match u32::from(step.code) {
                code if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => {
                    loaded = match step.k {
                        NUMBER_AT => number,
                        ARCHITECTURE_AT => architecture,
                        FIRST_ARGUMENT_AT => first as u32,
                        SECOND_ARGUMENT_AT => second as u32,
                        FOURTH_ARGUMENT_AT => fourth as u32,
                        44 => (fourth >> 32) as u32,
                        other => panic!("{other}"),
                    };
                }
                code if code == libc::BPF_ALU | libc::BPF_AND | libc::BPF_K => loaded &= step.k,
                code if code == libc::BPF_RET | libc::BPF_K => return step.k,
                code => {
                    let is_true = match code & !(libc::BPF_JMP | libc::BPF_K) {
                        libc::BPF_JEQ => loaded == step.k,
                        libc::BPF_JSET => loaded & step.k != 0,
                        other => {
                            assert_eq!(other, libc::BPF_JGE);
                            loaded >= step.k
                        }
                    };
                    at += usize::from(if is_true { step.jt } else { step.jf });
                }
            }
        }
    }

    #[test]
    fn calls_are_told_and_their_kin_of_other_architectures_killed() {
        let all = Told { random: true, clocks: vec![0, 5, 8, 11], deadlines: true };
        for number in [GETRANDOM, TIME, GETTIMEOFDAY] {
            assert_eq!(outcome(&all, X86_64, number, 0), TRACE);
            assert_eq!(outcome(&all, X86_64, number | X32, 0), KILL);
        }
        for (clock, expected) in [(0, TRACE), (1, ALLOW), (5, TRACE), (2, ALLOW), (11, TRACE), (1 << 32, TRACE)] {
            assert_eq!(outcome(&all, X86_64, CLOCK_GETTIME, clock), expected, "{clock}");
        }
        for (operation, moment, expected) in [
            (0, 8, ALLOW),
            (9, 8, ALLOW),
            (9 | 128 | 256, 8, TRACE),
            (9 | 128 | 256, 1 << 32, TRACE),
            (9 | 128 | 256, 0, ALLOW),
            (1, 8, ALLOW),
        ] {
            assert_eq!(outcome_of(&all, X86_64, FUTEX, [0, operation, moment]), expected, "{operation} {moment}");
        }
        for (clock, flags, expected) in [(0, 1, TRACE), (0, 0, ALLOW), (1, 1, ALLOW), (11, 1, TRACE)] {
            assert_eq!(outcome_of(&all, X86_64, CLOCK_NANOSLEEP, [clock, flags, 0]), expected, "{clock} {flags}");
        }
        assert_eq!(outcome(&all, X86_64, CLOCK_GETTIME | X32, 0), KILL);
        for number in [13, 78, 265, 403, 355] {
            assert_eq!(outcome(&all, I386, number, 0), KILL);
        }
        for (architecture, number) in [(X86_64, 0), (X86_64, 355), (X86_64, 59), (X86_64, X32 | 1), (I386, 318)] {
            assert_eq!(outcome(&all, architecture, number, 0), ALLOW, "{architecture:x} {number}");
        }
        assert_eq!(outcome(&all, 0xc000_00b7, 0, 0), KILL);
        assert_eq!(outcome(&all, X86_64, u32::MAX, 0), ALLOW);
    }

    #[test]
    fn what_is_not_asked_for_is_left_alone() {
        let random = Told { random: true, ..Told::default() };
        let clocks = Told { clocks: vec![0], ..Told::default() };
        for number in [CLOCK_GETTIME, TIME, GETTIMEOFDAY, CLOCK_GETTIME | X32] {
            assert_eq!(outcome(&random, X86_64, number, 0), ALLOW);
        }
        assert_eq!((outcome(&random, I386, 13, 0), outcome(&clocks, I386, 355, 0)), (ALLOW, ALLOW));
        assert_eq!(outcome(&clocks, X86_64, GETRANDOM, 0), ALLOW);
        assert!(Filter::of(&Told::default()).is_none());
    }
}
