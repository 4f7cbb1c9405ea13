#!/usr/bin/env python3
"""Crawls the bundled shop with Nephila and with others, and compares what it costs.

    cargo build --release && benches/peers/run.py
    benches/peers/run.py --books 2000 --rounds 1

Same site, same fields, same 32 requests in flight, robots.txt obeyed, one row per book. Peers are
installed by their own package clients (Scrapy: pip, into a virtual environment; kumo and spider-rs: cargo)
below target/peers. The shop runs in a process of its own. CPU time and memory are those of the crawler's
process, from its first to its last instruction. A run whose rows are not the truth is void, and its figures are not worth a look.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "target" / "peers"
NEPHILA = ROOT / "target" / "release" / "nephila"


def install_scrapy():
    env = WORK / "scrapy"
    python = env / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", env], check=True)
    wanted = HERE / "scrapy" / "requirements.txt"
    subprocess.run([python, "-m", "pip", "install", "-q", "-r", wanted], check=True)
    shown = subprocess.run([python, "-m", "scrapy", "version"], check=True, capture_output=True, text=True)
    return shown.stdout.strip(), [python, HERE / "scrapy" / "shop.py"]


def install_crate(name):
    """A program of its own, built by cargo; the version is that of the peer it uses."""
    command = ["cargo", "build", "--release", "--quiet", "--manifest-path", HERE / name / "Cargo.toml"]
    subprocess.run([*command, "--target-dir", WORK / name], check=True)
    wanted = re.search(rf'^{name} = .*?"=([\d.]+)"', (HERE / name / "Cargo.toml").read_text(), re.M)
    return f"{name} {wanted.group(1)}", [WORK / name / "release" / f"shop-by-{name}"]


PEERS = {
    "scrapy": install_scrapy,
    "kumo": lambda: install_crate("kumo"),
    "spider": lambda: install_crate("spider"),
}


def measure(command, limit):
    """Wall seconds, CPU seconds and peak memory in MB of a command."""
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    timer = subprocess.Popen(["sleep", str(limit)])
    while True:
        done, status, usage = os.wait4(process.pid, os.WNOHANG)
        if done:
            break
        if timer.poll() is not None:
            process.kill()
        time.sleep(0.01)
    timer.kill()
    timer.wait()
    if status:
        sys.stderr.write(process.stderr.read().decode(errors="replace")[-2000:])
    process.stderr.close()
    wall = time.monotonic() - begun
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


def own(nephila, books):
    """The line of `nephila bench`: its pages, seconds, CPU time and memory."""
    line = subprocess.run([nephila, "bench", "--books", str(books)], capture_output=True, text=True).stdout
    found = re.search(r"^(.*?): ([\d ]+) pages in ([\d.]+) s.* (\d+) µs CPU per page, (\d+) MB at most, (.*)", line)
    name, pages, wall, cpu, memory, rows = found.groups()
    pages = int(pages.replace(" ", ""))
    return name, pages, (float(wall), int(cpu) * pages / 1e6, float(memory)), rows


def say(name, pages, cost, rows):
    wall, cpu, memory = cost
    print(f"| {name} | {cpu / pages * 1e6:,.0f} µs | {pages / wall:,.0f} | {memory:.0f} MB | {rows} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--books", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=int, default=600, help="seconds that a run may take")
    parser.add_argument("--nephila", type=Path, default=NEPHILA, help="its program")
    parser.add_argument("peers", nargs="*", default=list(PEERS), help=", ".join(PEERS))
    args = parser.parse_args()
    if not args.nephila.exists():
        sys.exit(f"no {args.nephila}: cargo build --release")
    WORK.mkdir(parents=True, exist_ok=True)
    peers = []
    for name in args.peers:
        try:
            peers.append(PEERS[name]())
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"{name} can't be installed: {error}", file=sys.stderr)
    serve = [args.nephila, "bench", "--serve", "--books", str(args.books)]
    shop = subprocess.Popen(serve, stdout=subprocess.PIPE, text=True)
    try:
        site = shop.stdout.readline().strip()
        print("| | CPU per page | pages/s | memory | rows |\n|---|---|---|---|---|")
        for _ in range(args.rounds):
            name, pages, cost, rows = own(args.nephila, args.books)
            say(name, pages, cost, rows)
            for name, command in peers:
                file = WORK / "rows.csv"
                file.unlink(missing_ok=True)
                cost = measure([*command, site, file], args.limit)
                check = [args.nephila, "bench", "--books", str(args.books), "--check", file]
                said = subprocess.run(check, capture_output=True, text=True)
                rows = (said.stdout or said.stderr).strip().splitlines()[0]
                say(name, pages, cost, rows)
    finally:
        shop.terminate()
        shop.wait()


if __name__ == "__main__":
    main()
