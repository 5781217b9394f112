"""
What keeps a model's code to itself, taken on before any of it is imported. Linux only; each measure says whether it holds here.

Landlock: kernel documentation, userspace-api/landlock. seccomp: userspace-api/seccomp_filter. Numbers of system calls: the kernel's tables for
x86-64 and for the generic table (arm64).
"""

import ctypes
import os
import platform
import resource
import struct
import sys
import sysconfig

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 1, 38, 22
SIGKILL = 9
FIRST_UID, UIDS = 61184, 4000


class NotHeld(Exception):
    pass


def isolate(network, max_processes):
    """Takes every measure that holds here. Gives [{name, holds, detail}] in the order taken."""
    libc = ctypes.CDLL(None, use_errno=True)
    report = []

    def take(name, measure):
        try:
            detail, holds = measure(), True
        except NotHeld as why:
            detail, holds = str(why), False
        except (OSError, ValueError, AttributeError) as error:
            detail, holds = f"{type(error).__name__}: {error}", False
        report.append({"name": name, "holds": holds, "detail": detail})

    if sys.platform != "linux":
        for name in ("own user", "files", "network", "system calls", "limits"):
            report.append({"name": name, "holds": False, "detail": f"there is no such measure on {sys.platform}"})
        return report
    take("own user", lambda: _own_user(libc))
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)  # a change of user took it away
    os.register_at_fork(after_in_child=lambda: libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
    take("limits", lambda: _limits(max_processes))
    take("files", lambda: _landlock(libc))
    if network:
        report.append({"name": "network", "holds": False, "detail": "it was allowed"})
        take("system calls", lambda: _seccomp(libc, FORBIDDEN))
    else:
        # One filter does both; two lines tell what each means.
        take("network", lambda: _seccomp(libc, {**FORBIDDEN, **NETWORK}) and "no sockets can be opened")
        held = report[-1]["holds"]
        detail = "tracing, mounting and loading into the kernel are refused" if held else report[-1]["detail"]
        report.append({"name": "system calls", "holds": held, "detail": detail})
    return report


def _own_user(libc):
    if os.geteuid() != 0:
        raise NotHeld("the server does not run as root, so its runners have its user")
    uid = FIRST_UID + os.getpid() % UIDS
    _give_folder(uid)
    os.seteuid(uid)
    reached = False
    try:
        # What the process needs must be within its reach as that user.
        for path in {os.getcwd(), sys.prefix, sys.base_prefix, os.path.dirname(__file__)}:
            try:
                os.listdir(path)
            except OSError:
                raise NotHeld(f"another user cannot reach {_kind(path)}; give the folders above it the mode o+x") from None
        reached = True
    finally:
        os.seteuid(0)
        if not reached:
            _give_folder(0)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    return f"user {uid}"


def _give_folder(uid):
    for folder, _, names in os.walk("."):
        os.chown(folder, uid, uid)
        for name in names:
            os.chown(os.path.join(folder, name), uid, uid, follow_symlinks=False)


def _kind(path):
    if path == os.getcwd():
        return "its working folder"
    return "the runner program" if path == os.path.dirname(__file__) else "the Python environment"


def _limits(max_processes):
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower(resource.RLIMIT_NOFILE, 1024)
    # Counted for the whole user: of use only where it is the runner's own.
    own = os.geteuid() >= FIRST_UID
    if own:
        _lower(resource.RLIMIT_NPROC, max_processes)
    _lower(resource.RLIMIT_FSIZE, 2 * 1024**3)
    return "open files, size of files, core dumps" + (", processes" if own else "")


def _lower(what, most):
    _, hard = resource.getrlimit(what)
    limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (limit, limit))


# Landlock.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
RULE_PATH_BENEATH = 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
FS_ACCESS = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF}
IOCTL_DEV = 0x8000
READ = EXECUTE | READ_FILE | READ_DIR


def _landlock(libc):
    abi = libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if abi < 1:
        raise NotHeld("this kernel has no Landlock")
    fs = FS_ACCESS.get(abi, 0x7FFF | IOCTL_DEV if abi >= 5 else 0x7FFF)
    attributes = [fs]
    if abi >= 4:
        attributes.append(0)  # TCP is refused by seccomp, or allowed
    if abi >= 6:
        attributes.append(3)  # no abstract sockets and no signals beyond this domain
    block = struct.pack(f"<{len(attributes)}Q", *attributes)
    ruleset = libc.syscall(CREATE_RULESET, block, ctypes.c_size_t(len(block)), 0)
    if ruleset < 0:
        raise NotHeld(f"Landlock made no rules: {os.strerror(ctypes.get_errno())}")
    try:
        readable = {
            sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(__file__),
            *filter(None, sysconfig.get_paths().values()), *(path for path in sys.path if path),
            "/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types",
            "/proc", "/sys/devices/system", "/sys/fs/cgroup", "/dev/urandom", "/dev/random", "/dev/zero",
        }  # fmt: skip
        for path in readable:
            _allow(libc, ruleset, path, READ & fs)
        _allow(libc, ruleset, os.getcwd(), fs)
        _allow(libc, ruleset, "/dev/null", (READ_FILE | WRITE_FILE) & fs)
        _allow(libc, ruleset, "/dev/shm", fs)
        if libc.syscall(RESTRICT_SELF, ruleset, 0) != 0:
            raise NotHeld(f"Landlock refused: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(ruleset)
    signals = "" if abi >= 6 else "; signals to processes of the same user are possible"
    return f"it reads its own folder, Python and the system's libraries, and writes its own folder{signals}"


def _allow(libc, ruleset, path, access):
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no rule
    try:
        if not os.path.isdir(path):
            access &= EXECUTE | READ_FILE | WRITE_FILE
        rule = struct.pack("<Qi", access, fd)
        if libc.syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, rule, 0) != 0:
            raise NotHeld(f"Landlock took no rule: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(fd)


# seccomp: by name the number on x86-64 and on arm64.
FORBIDDEN = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "io_uring_setup": (425, 425),
    "bpf": (321, 280), "perf_event_open": (298, 241), "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "userfaultfd": (323, 282), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "unshare": (272, 97), "setns": (308, 268), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "kexec_load": (246, 104), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225),
    "open_by_handle_at": (304, 265), "pidfd_getfd": (438, 438), "quotactl": (179, 60), "acct": (163, 89),
}  # fmt: skip
NETWORK = {"socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201)}
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32_BIT = 0x40000000
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000 | 13, 0x80000000  # EACCES


def _seccomp(libc, calls):
    machine = platform.machine()
    if machine not in AUDIT_ARCH:
        raise NotHeld(f"there is no filter here for {machine}")
    numbers = sorted({pair[0 if machine == "x86_64" else 1] for pair in calls.values()})
    load, jump_equal, jump_least, give = 0x20, 0x15, 0x35, 0x06
    program = [(load, 0, 0, 4), (jump_equal, 1, 0, AUDIT_ARCH[machine]), (give, 0, 0, KILL), (load, 0, 0, 0)]
    if machine == "x86_64":
        program += [(jump_least, 0, 1, X32_BIT), (give, 0, 0, REFUSE)]
    for at, number in enumerate(numbers):
        program.append((jump_equal, len(numbers) - at, 0, number))
    program += [(give, 0, 0, ALLOW), (give, 0, 0, REFUSE)]
    block = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *one) for one in program))
    # struct sock_fprog: a short, then a pointer.
    filters = struct.pack("<HxxxxxxQ", len(program), ctypes.addressof(block))
    if libc.prctl(PR_SET_SECCOMP, 2, ctypes.create_string_buffer(filters), 0, 0) != 0:
        raise NotHeld(f"the kernel took no filter: {os.strerror(ctypes.get_errno())}")
    return "tracing, mounting and loading into the kernel are refused"
