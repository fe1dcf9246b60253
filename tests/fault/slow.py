"""slow.py SECONDS COMMAND... - what waiting costs COMMAND, when its output is read at a KiB a second.

It is given all the text it takes, until all pipes are full and it does nothing. Then it is watched for SECONDS, and the
seconds of processor and the KiB of memory that it has used meanwhile are printed.
"""
import os, select, subprocess, sys, threading, time

TICK = os.sysconf("SC_CLK_TCK")


def used(pid):
    """Seconds of processor, KiB resident."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK, int(fields[21]) * os.sysconf("SC_PAGE_SIZE") // 1024


def feed(pipe):
    """More lines than anyone takes. (That it is closed then is the end of this program.)"""
    try:
        for i in range(10**9):
            pipe.write(b"%s\ta fine day %d\n" % ((b"neg", b"pos")[i % 2], i % 100))
    except (BrokenPipeError, ValueError):
        pass


def settle(process):
    """Waits until there is output, and then until it does nothing more: half a second without a tick."""
    select.select([process.stdout], [], [])
    before, same = used(process.pid)[0], 0
    while same < 5:
        time.sleep(0.1)
        if process.poll() is not None:
            sys.exit(f"it ended with {process.returncode}")
        now = used(process.pid)[0]
        before, same = now, same + 1 if now == before else 0


process = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
threading.Thread(target=feed, args=(process.stdin,), daemon=True).start()
settle(process)
cpu, memory = used(process.pid)
for _ in range(int(sys.argv[1])):
    process.stdout.read1(1024)
    time.sleep(1)
cpu_after, memory_after = used(process.pid)
print(f"{cpu_after - cpu:.2f} {memory_after - memory}")
process.kill()
os._exit(0)
