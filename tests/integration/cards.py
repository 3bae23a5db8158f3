"""Cards without a GPU, one of each kind that the coordinator knows.

Of each, the directory `held` says who truly uses how much: a file named after
a living process has its VRAM in MiB.  What a driver does with that is imitated
here: `Keeper` publishes it where AMD's kernel driver would, and moves the VRAM
of a process that the stand-in for libcuda has checkpointed.
"""

import os
import pathlib
import threading

CAPACITY_MIB = 24576
DRIVER_MIB = 376  # What the stand-in for NVIDIA's driver keeps for itself.
PERIOD_S = 0.02

RUNNING, LOCKED, CHECKPOINTED = "0", "1", "2"  # CUprocessState.
FIRST_NAMESPACE = "pid:[4026531836]"  # Of pids; in every kernel.


def is_alive(pid):
    """Say whether the process has not ended; a zombie has."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def put(path, text):
    """Write a file as the kernel's are: never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.parent / f".{path.name}.new"
    new.write_text(text)
    new.rename(path)


class Card:
    """One card.  `why_not` says why it cannot be imitated here; None: it
    can."""

    kind = "?"
    capacity_mib = CAPACITY_MIB
    has_cuda = True
    has_list = True  # Of the processes, with what each uses.
    has_kernel_files = False  # That the keeper has to write.
    why_not = None

    def __init__(self, home, build):
        self.home = home
        self.build = build
        self.held = home / "held"
        self.cuda = home / "cuda"
        self.saved = {}  # What is checkpointed, by pid.
        self.lock = threading.Lock()  # Of keep().
        self.is_over = False
        self.cuda.mkdir(parents=True)

    def config(self):
        """Return what `gpus:` says."""
        raise NotImplementedError

    def environment(self):
        """Return what the coordinator needs to find the driver."""
        libraries = [self.build / "tests/unit/device"]
        if self.has_cuda:
            libraries.append(self.build / "tests/unit/control")
        return {"LD_LIBRARY_PATH": ":".join(map(str, libraries)),
                "STANDIN_CUDA": str(self.cuda)}

    def users(self):
        """Return who truly uses VRAM: {pid: MiB}."""
        found = {}
        for entry in os.scandir(self.held):
            if entry.name.isdigit() and is_alive(int(entry.name)):
                try:
                    with open(entry.path, encoding="ascii") as file:
                        found[int(entry.name)] = int(file.read())
                except FileNotFoundError:
                    pass
        return found

    def use(self, pid, mib):
        """Let a process use @mib, and let the driver show it."""
        put(self.held / str(pid), f"{mib}\n")
        self.keep_up()

    def keep_up(self):
        """Do what a driver does by itself."""
        with self.lock:
            if not self.is_over:
                self.keep()

    def has_used_cuda(self, pid):
        """Let the stand-in for libcuda know the process."""
        put(self.cuda / f"state.{pid}", RUNNING)

    def keep(self):
        """Move what is checkpointed; the caller has the lock."""
        for path in list(self.cuda.glob("state.*")):
            try:
                state = path.read_text()[:1]
            except FileNotFoundError:
                continue
            pid = int(path.name[6:])
            if state == CHECKPOINTED and pid not in self.saved:
                self.saved[pid] = self.users().get(pid, 0)
                put(self.held / str(pid), "0\n")
            elif state in (RUNNING, LOCKED) and pid in self.saved:
                put(self.held / str(pid), f"{self.saved.pop(pid)}\n")


class Simulated(Card):
    """A card that is files."""

    kind = "simulated"

    def __init__(self, home, build):
        super().__init__(home, build)
        self.held.mkdir()

    def config(self):
        return f"{{simulated: [{CAPACITY_MIB}], dir: {self.held}}}"


class Nvidia(Card):
    """NVIDIA's, where the driver lists the processes."""

    kind = "nvml"
    capacity_mib = CAPACITY_MIB - DRIVER_MIB

    def __init__(self, home, build):
        super().__init__(home, build)
        self.held = home / "cards/0"
        self.held.mkdir(parents=True)
        put(home / "drive",
            f"cards {home / 'cards'}\ntag GPU-{home.name}\n")
        (home / "proc/self/ns").mkdir(parents=True)
        (home / "proc/self/ns/pid").symlink_to(self.namespace())
        if not (build / "tests/unit/device/libnvidia-ml.so.1").exists():
            self.why_not = "this build has no stand-in for NVIDIA's library"

    def namespace(self):
        """Return the namespace of pids that the coordinator believes in."""
        return FIRST_NAMESPACE

    def config(self):
        return f"{{nvml: {{proc: {self.home / 'proc'}}}}}"

    def environment(self):
        return {**super().environment(),
                "STANDIN_NVML": str(self.home / "drive")}


class NvidiaInContainer(Nvidia):
    """NVIDIA's, where the driver's pids mean nothing: in a container."""

    kind = "nvml, no list"
    has_list = False

    def namespace(self):
        return "pid:[4026532000]"


class NvidiaThatHangs(Nvidia):
    """NVIDIA's, whose driver fails to checkpoint, and hangs when that is to be
    taken back."""

    kind = "nvml, hangs"

    def __init__(self, home, build):
        super().__init__(home, build)
        put(self.cuda / "fail_at", "3\n")
        put(self.cuda / "hang_at", "5\n")


class NvidiaThatIsLate(Nvidia):
    """NVIDIA's, whose driver moves the VRAM, and never says that it has."""

    kind = "nvml, late"

    def __init__(self, home, build):
        super().__init__(home, build)
        put(self.cuda / "late_at", "3\n")


class Amd(Card):
    """AMD's: the files of the kernel's driver and of /proc."""

    kind = "amdgpu"
    has_cuda = False
    has_kernel_files = True
    slot = "0000:03:00.0"

    def __init__(self, home, build):
        super().__init__(home, build)
        self.held.mkdir()
        self.card = home / "sys/class/drm/card0/device"
        self.proc = home / "proc"
        self.published = None
        put(self.card / "uevent", "DRIVER=amdgpu\nPCI_ID=1002:744C\n"
            f"PCI_SLOT_NAME={self.slot}\n")
        put(self.card / "unique_id", f"{abs(hash(str(home))):016x}\n")
        put(self.card / "mem_info_vram_total", f"{CAPACITY_MIB << 20}\n")
        (self.proc / "1/fd").mkdir(parents=True)
        self.publish({})

    def config(self):
        return f"{{amdgpu: {{sysfs: {self.home / 'sys'}, proc: {self.proc}}}}}"

    def publish(self, users):
        """Write @users where the kernel would show them."""
        before = self.published or {}
        for pid in before.keys() - users.keys():
            (self.proc / str(pid) / "fdinfo/5").unlink()
            (self.proc / str(pid) / "fd/5").unlink()
        for pid, mib in users.items():
            put(self.proc / str(pid) / "fdinfo/5",
                f"pos:\t0\ndrm-driver:\tamdgpu\ndrm-pdev:\t{self.slot}\n"
                f"drm-client-id:\t{pid}\ndrm-memory-vram:\t{mib << 10} KiB\n")
            link = self.proc / str(pid) / "fd/5"
            if not link.is_symlink():
                link.parent.mkdir(exist_ok=True)
                link.symlink_to("/dev/dri/renderD128")
        put(self.card / "mem_info_vram_used",
            f"{sum(users.values()) << 20}\n")
        self.published = users

    def keep(self):
        super().keep()
        users = self.users()
        if users != self.published:
            self.publish(users)


KINDS = [Simulated, Nvidia, NvidiaInContainer, Amd]


class Keeper:
    """The drivers of all cards, in one thread."""

    def __init__(self):
        self.cards = set()
        self.lock = threading.Lock()
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def add(self, card):
        """Keep @card from now on."""
        with self.lock:
            self.cards.add(card)

    def remove(self, card):
        """Let go of @card."""
        with self.lock:
            self.cards.discard(card)
        with card.lock:
            card.is_over = True

    def run(self):
        """Go round."""
        while not self.is_over.wait(PERIOD_S):
            with self.lock:
                kept = list(self.cards)
            for card in kept:
                card.keep_up()

    def close(self):
        """End the thread."""
        self.is_over.set()
        self.thread.join()
