#!/usr/bin/env python3
"""colis beside what people would use instead, and its other figures: over loopback, in alternated rounds.

  peers.py setup WORK                     installs the others (Debian packages, as root), makes keys and data: 1.2 GiB
  peers.py run WORK ROUNDS SET TOOL...    SET is 1g (one file of 1 GiB), small (10,000 of 10 KiB), ten (10 files, 100 MiB)
  peers.py bench-store WORK ROUNDS        1 GiB to a peer that discards what it has hashed: the path without its disk
  peers.py latency WORK                   single requests, and whole processes that do little
  peers.py resume WORK ROUNDS             1 GiB, the sender killed at 90 %: the second send against a whole one
  peers.py memory WORK                    peak memory of each role, for a small and a large file
  peers.py growth WORK                    what a GiB costs in a large file, and a file among many, against few

`peers.py COMMAND --help` has the sizes and counts that can be changed, for a short run.

Tools: colis-send (until `colis send` returns: stored and durable), colis-deliver (until the plain files are in received/),
colis-receive (from a peer's store into files), colis-discard (to examples/discarding_peer.rs), scp, rsync, nginx-put and
nginx-get (curl, mutual TLS 1.3, HTTP/1.1), rclone-crypt (over WebDAV, mutual TLS), seed-send and seed-fetch
(seed_baseline.py). Each line has median seconds, the range, MB/s, CPU seconds of both ends, peak MiB of client/server. The
ratios below are paired: within each round the time of the other tool over the time of colis, then the median, so above 1 is
faster than the other.

Guest memory is warmed before each timed run, for the first touch of a page is what costs most on virtual machines. Quote
ratios of one run, never absolute times, and nothing under 8 %.

Environment: COLIS names the binary (target/release/colis), DISCARDING_PEER that of the example
(target/release/examples/discarding_peer), PORT_BASE the first of five ports (18443).
"""
import argparse
import hashlib
import os
import re
import shlex
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
COLIS = os.path.abspath(os.environ.get("COLIS", "target/release/colis"))
DISCARDING_PEER = os.path.abspath(
    os.environ.get("DISCARDING_PEER", "target/release/examples/discarding_peer"))
PORTS = dict(zip(("colis", "ssh", "nginx", "rclone", "seed"), range(int(os.environ.get("PORT_BASE", "18443")), 1 << 16)))
PACKAGES = "openssh-server rsync rclone nginx-light curl openssl python3-venv"
MIB, GIB = 1 << 20, 1 << 30
FETCHING = ("colis-receive", "nginx-get", "seed-fetch")
PATIENCE = 1800


# Setting up

def sh(command, **options):
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL, **options)


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def random_file(path, length):
    with open(path, "wb") as file:
        for start in range(0, length, MIB):
            file.write(os.urandom(min(MIB, length - start)))


def small_files(folder, count):
    """`count` files of 10 KiB, unless they are there."""
    if os.path.isdir(folder) and len(os.listdir(folder)) == count:
        return
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for index in range(count):
        random_file(f"{folder}/f{index:06}", 10 << 10)


def setup(work):
    shutil.rmtree(f"{work}/old", ignore_errors=True)
    sh(f"apt-get install -y -q {PACKAGES} >/dev/null")
    for folder in ("data/ten", "ssh", "nginx", "certs"):
        os.makedirs(f"{work}/{folder}", exist_ok=True)
    random_file(f"{work}/data/1g", GIB)
    small_files(f"{work}/data/small", 10_000)
    for index in range(10):
        random_file(f"{work}/data/ten/{index}.bin", (1 + 2 * index) * MIB)
    write(f"{work}/certs/ext", "subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    sh(f"""cd {work}/certs
        openssl ecparam -name prime256v1 -genkey -noout -out ca.key
        openssl req -new -x509 -key ca.key -out ca.pem -days 30 -subj /CN=bench
        for n in server client; do
            openssl ecparam -name prime256v1 -genkey -noout -out $n.key
            openssl req -new -key $n.key -out $n.csr -subj /CN=$n
            openssl x509 -req -in $n.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $n.pem -days 30 -extfile ext
        done""", stderr=subprocess.DEVNULL)
    sh(f"""cd {work}/ssh && rm -f hk uk && mkdir -p /run/sshd
        ssh-keygen -q -t ed25519 -N '' -f hk && ssh-keygen -q -t ed25519 -N '' -f uk && cp uk.pub ak""")
    sh(f"python3 -m venv {work}/venv && {work}/venv/bin/pip -q install fastapi uvicorn requests cryptography")


def configure(work):
    """The settings of the others, with the ports of this run."""
    write(f"{work}/ssh/conf", f"""Port {PORTS['ssh']}
ListenAddress 127.0.0.1
HostKey {work}/ssh/hk
AuthorizedKeysFile {work}/ssh/ak
StrictModes no
UsePAM no
PermitRootLogin yes
PidFile none
Subsystem sftp internal-sftp
""")
    certs, own = f"{work}/certs", f"{work}/nginx"
    write(f"{own}/conf", f"""worker_processes 2; daemon off; error_log {own}/err.log; pid {own}/pid; user root;
events {{ worker_connections 512; }}
http {{
 access_log off; client_max_body_size 0; sendfile on; tcp_nodelay on; keepalive_requests 1000000;
 client_body_buffer_size 1m; client_body_temp_path {work}/dst/.nginx;
 proxy_temp_path {own}/p; fastcgi_temp_path {own}/f; uwsgi_temp_path {own}/u; scgi_temp_path {own}/s;
 server {{
  listen 127.0.0.1:{PORTS['nginx']} ssl;
  ssl_certificate {certs}/server.pem; ssl_certificate_key {certs}/server.key;
  ssl_client_certificate {certs}/ca.pem; ssl_verify_client on; ssl_protocols TLSv1.3;
  location / {{ root {work}/dst; dav_methods PUT; create_full_put_path on; }}
  location /src/ {{ alias {work}/data/; }}
 }}
}}
""")


# What is compared

class Tool:
    """An optional server, what must be done before and after it starts, the timed command, and when it is done."""

    def __init__(self, command, server, port, before=None, ready=None, done=None):
        self.command, self.server, self.port = command, server, PORTS[port]
        self.before, self.ready, self.done = before, ready, done


def make_homes(work):
    """A circle of two: a sends, b serves."""
    a, b = f"{work}/dst/a", f"{work}/dst/b"
    sh(f"{COLIS} --home {a} certs init --name a && {COLIS} --home {a} certs issue b --out {b}/certs",
       stderr=subprocess.DEVNULL)


def colis_tools(work, source):
    a, b, address = f"{work}/dst/a", f"{work}/dst/b", f"127.0.0.1:{PORTS['colis']}"
    arrived = f"{b}/received/{os.path.basename(source)}"
    serve = f"{COLIS} --home {b} serve --listen {address} --inbox"
    send = f"{COLIS} --home {a} -q send {source} --to"
    receive = f"{COLIS} --home {a} -q receive --from {address} --all --out {work}/dst/got"

    def tool(command, server, **more):
        return Tool(command, server, "colis", before=lambda: make_homes(work), **more)

    return {
        "colis-send": tool(f"{send} {address}", f"{serve} off"),
        "colis-deliver": tool(f"{send} {address}", f"{serve} auto", done=lambda: os.path.exists(arrived)),
        "colis-receive": tool(receive, f"{serve} off", ready=lambda: sh(f"{send} a --via {address}")),
        "colis-discard": tool(f"{send} {address}", f"{DISCARDING_PEER} {b}/certs {address}"),
    }


def ssh_tools(work, source):
    server = f"/usr/sbin/sshd -D -f {work}/ssh/conf"
    options = (f"-i {work}/ssh/uk -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
               " -c aes256-gcm@openssh.com -F none")
    port, target = PORTS["ssh"], f"root@127.0.0.1:{work}/dst/"
    return {
        "scp": Tool(f"scp -r -P {port} {options} {source} {target}", server, "ssh"),
        "rsync": Tool(f"rsync -aW -e 'ssh -p {port} {options}' {source} {target}", server, "ssh"),
    }


def nginx_tools(work, source):
    server, certs = f"nginx -c {work}/nginx/conf -p {work}/nginx", f"{work}/certs"
    url, base, into = f"https://localhost:{PORTS['nginx']}", os.path.basename(source), f"{work}/dst/in"
    curl = (f"curl -sS --fail --cacert {certs}/ca.pem --cert {certs}/client.pem --key {certs}/client.key"
            f" --tlsv1.3 --http1.1 -K {work}/nginx/list")
    # One curl for all files, so that it keeps its connection.
    pairs = [(f"{source}/{name}", name) for name in sorted(os.listdir(source))] if os.path.isdir(source) else [(source, base)]
    where = f"{base}/" if os.path.isdir(source) else ""

    def listed(line):
        os.makedirs(into, exist_ok=True)
        write(f"{work}/nginx/list", "".join(line(path, name) for path, name in pairs))

    return {
        "nginx-put": Tool(curl, server, "nginx", ready=lambda: listed(
            lambda path, name: f'upload-file = "{path}"\nurl = "{url}/in/{name}"\n')),
        "nginx-get": Tool(curl, server, "nginx", ready=lambda: listed(
            lambda path, name: f'output = "{into}/{name}"\nurl = "{url}/src/{where}{name}"\n')),
    }


def rclone_tools(work, source):
    certs, port, config = f"{work}/certs", PORTS["rclone"], f"{work}/rclone.conf"

    def configure_rclone():
        password = subprocess.check_output(["rclone", "obscure", "pw"], text=True)
        write(config, f"[w]\ntype = webdav\nurl = https://localhost:{port}\nvendor = other\n"
                      f"[c]\ntype = crypt\nremote = w:enc\npassword = {password}\n")

    into = os.path.basename(source) if os.path.isdir(source) else ""
    command = (f"env RCLONE_CONFIG={config} rclone copy --ca-cert {certs}/ca.pem --client-cert {certs}/client.pem"
               f" --client-key {certs}/client.key {source} c:{into} -q")
    server = (f"env RCLONE_CONFIG={config} rclone serve webdav {work}/dst --addr 127.0.0.1:{port}"
              f" --cert {certs}/server.pem --key {certs}/server.key --client-ca {certs}/ca.pem -q")
    return {"rclone-crypt": Tool(command, server, "rclone", before=configure_rclone)}


def seed_tools(work, source):
    dst, url = f"{work}/dst", f"https://localhost:{PORTS['seed']}"
    python = f"{work}/venv/bin/python {HERE}/seed_baseline.py {work}/certs"
    server = f"{python} serve {dst}/store {PORTS['seed']}"
    send = f"{python} send {source} {url} {dst}/local {dst}/manifest.json"

    def stored():
        sh(send)
        shutil.rmtree(f"{dst}/local")

    fetch = f"{python} fetch {dst}/manifest.json {url} {dst}/local {dst}/out"
    return {"seed-send": Tool(send, server, "seed"), "seed-fetch": Tool(fetch, server, "seed", ready=stored)}


def tools(work, source):
    families = (colis_tools, ssh_tools, nginx_tools, rclone_tools, seed_tools)
    return {name: tool for family in families for name, tool in family(work, source).items()}


# Measuring

def tree(root):
    """The process `root` and all below it."""
    found, todo = [], [str(root)]
    while todo:
        process = todo.pop()
        found.append(process)
        try:
            for task in os.listdir(f"/proc/{process}/task"):
                with open(f"/proc/{process}/task/{task}/children") as children:
                    todo += children.read().split()
        except OSError:
            pass
    return found


def cpu_seconds(root):
    """Of the process and what it has started, also what has ended."""
    ticks = 0
    for process in tree(root):
        try:
            with open(f"/proc/{process}/stat") as file:
                ticks += sum(map(int, file.read().rsplit(")", 1)[1].split()[11:15]))
        except OSError:
            pass
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_mib(root):
    """The most memory that each of the processes has had so far, added up."""
    kib = 0
    for process in tree(root):
        try:
            with open(f"/proc/{process}/status") as file:
                kib += sum(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
        except OSError:
            pass
    return kib / 1024


def warm(work):
    """Touches memory that the run will need, so that no run pays for it."""
    block = os.urandom(MIB)
    with open(f"{work}/warm", "wb", buffering=0) as file:
        for _ in range(1300):
            file.write(block)
    os.unlink(f"{work}/warm")


def clean(work):
    """An empty `dst`. What was there is emptied and kept until the next setup: for minutes after files were removed,
    ext4 goes through their inodes whenever it looks for a free one, and the next run would pay for the last."""
    if os.path.exists(f"{work}/dst"):
        for folder, _, names in os.walk(f"{work}/dst"):
            for name in names:
                path = f"{folder}/{name}"
                if os.path.isfile(path) and not os.path.islink(path):
                    os.truncate(path, 0)
        os.makedirs(f"{work}/old", exist_ok=True)
        os.rename(f"{work}/dst", tempfile.mkdtemp(dir=f"{work}/old"))
    os.makedirs(f"{work}/dst/.nginx")


def start(command):
    return subprocess.Popen(shlex.split(command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def wait_for_port(port):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"port {port} never opened")


class Serving:
    """The server of a tool in a clean folder, until the block ends."""

    def __init__(self, work, tool):
        self.work, self.tool = work, tool

    def __enter__(self):
        clean(self.work)
        if self.tool.before:
            self.tool.before()
        self.process = subprocess.Popen(shlex.split(self.tool.server), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for_port(self.tool.port)
            if self.tool.ready:
                self.tool.ready()
        except BaseException:
            self.__exit__()
            raise
        return self.process.pid

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        clean(self.work)


def timed(tool, server):
    """Runs the command of `tool`. Gives seconds, CPU seconds of both ends, and their peak memory."""
    peak, ended = [0.0, 0.0], threading.Event()
    cpu_before, begin = cpu_seconds(server), time.monotonic()
    client = start(tool.command)

    def poll():
        while not ended.wait(0.1):
            peak[:] = map(max, peak, (peak_mib(client.pid), peak_mib(server)))

    watcher = threading.Thread(target=poll)
    watcher.start()
    try:
        said = client.stderr.read()
        _, status, usage = os.wait4(client.pid, 0)
        client.returncode = os.waitstatus_to_exitcode(status)
        while not client.returncode and tool.done and not tool.done():
            if time.monotonic() - begin > PATIENCE:
                raise RuntimeError("sent, but it never arrived")
            time.sleep(0.002)
        wall = time.monotonic() - begin
    finally:
        ended.set()
        watcher.join()
    if client.returncode:
        raise RuntimeError(said.decode(errors="replace")[-300:])
    cpu = usage.ru_utime + usage.ru_stime + cpu_seconds(server) - cpu_before
    server_peak = max(peak[1], peak_mib(server))
    return dict(wall=wall, cpu=cpu, client=peak[0], server=server_peak, said=said.decode(errors="replace"))


def once(work, tool):
    with Serving(work, tool) as server:
        warm(work)
        return timed(tool, server)


def rounds_of(count, todo):
    """Alternates: each of `todo` once a round. Gives their results by name; None where one failed."""
    results = {name: [] for name in todo}
    for number in range(count):
        for name, run_it in todo.items():
            try:
                results[name].append(run_it())
            except (RuntimeError, subprocess.SubprocessError) as error:
                results[name].append(None)
                print(f"{name}: round {number + 1}: {error}", file=sys.stderr)
    return results


def length_of(source):
    if not os.path.isdir(source):
        return os.path.getsize(source)
    return sum(entry.stat().st_size for entry in os.scandir(source))


def show(results, length):
    for name, runs in results.items():
        runs = [run for run in runs if run]
        if not runs:
            print(f"{name:14} FAILED")
            continue
        walls = [run["wall"] for run in runs]
        middle = {key: statistics.median(run[key] for run in runs) for key in ("wall", "cpu", "client", "server")}
        print(f"{name:14} n={len(runs)} {middle['wall']:7.2f} s [{min(walls):.2f}-{max(walls):.2f}]"
              f" {length / 1e6 / middle['wall']:6.0f} MB/s cpu {middle['cpu']:6.2f} s"
              f" peak {middle['client']:.0f}/{middle['server']:.0f} MiB")


def same_way(ours, other):
    """scp and rsync go both ways; the others put or fetch."""
    return other in ("scp", "rsync") or (ours in FETCHING) == (other in FETCHING)


def show_ratios(results):
    """How many times faster each way of colis is than each other tool."""
    others = [name for name in results if not name.startswith("colis-")]
    for ours in (name for name in results if name.startswith("colis-")):
        for other in (other for other in others if same_way(ours, other)):
            pairs = [b["wall"] / a["wall"] for a, b in zip(results[ours], results[other]) if a and b]
            if pairs:
                print(f"{ours:14} / {other:14} {statistics.median(pairs):5.2f} x [{min(pairs):.2f}-{max(pairs):.2f}]")


# Commands

def run(work, args):
    source = f"{work}/data/{args.set}"
    available = tools(work, source)
    todo = {name: (lambda tool=available[name]: once(work, tool)) for name in args.tool}
    results = rounds_of(args.rounds, todo)
    print(f"{args.set}, {args.rounds} rounds, ports from {PORTS['colis']}, {COLIS}")
    show(results, length_of(source))
    show_ratios(results)


def bench_store(work, args):
    source = f"{work}/data/1g"
    tool = colis_tools(work, source)["colis-discard"]
    results = rounds_of(args.rounds, {"colis-discard": lambda: once(work, tool)})
    show(results, length_of(source))
    walls = [run["wall"] for run in results["colis-discard"] if run]
    if args.ideal and walls:
        ideal = args.ideal * length_of(source) / GIB / os.cpu_count()
        print(f"ideal {ideal:.2f} s: a share of {ideal / statistics.median(walls):.2f}")


class Connection:
    """One connection over mutual TLS, with the certificate for scripts of home `a`. Requests are written by hand: a
    library would cost more than the peer does."""

    def __init__(self, context):
        tcp = socket.create_connection(("127.0.0.1", PORTS["colis"]))
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tls = context.wrap_socket(tcp, server_hostname="localhost")

    def ask(self, line, body=b""):
        """Sends a request; gives status and body of the answer."""
        head = f"{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        self.tls.sendall(head.encode() + body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._more()
        head, _, content = answer.partition(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])
        while len(content) < length:
            content += self._more()
        return int(head.split()[1]), content

    def _more(self):
        more = self.tls.recv(1 << 16)
        if not more:
            raise RuntimeError("the peer closed")
        return more

    def close(self):
        self.tls.close()


def script_context(home):
    certs = f"{home}/certs"
    context = ssl.create_default_context(cafile=f"{certs}/ca-cert.pem")
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(f"{certs}/client-cert.pem", f"{certs}/client-key.pem")
    return context


def milliseconds(action, count):
    taken = []
    for _ in range(count):
        begin = time.perf_counter()
        action()
        taken.append((time.perf_counter() - begin) * 1e3)
    return sorted(taken)


def show_times(what, taken):
    p95 = taken[min(len(taken) - 1, int(len(taken) * 0.95))]
    print(f"{what:44} n={len(taken):<4} p50 {statistics.median(taken):7.2f} ms  p95 {p95:7.2f} ms  min {taken[0]:.2f} ms")


def put_new_chunk(context):
    """A new connection, and a chunk on it that is durable when it is answered."""
    body = os.urandom(10 << 10)
    connection = Connection(context)
    status, answer = connection.ask(f"PUT /v1/chunks/{hashlib.sha256(body).hexdigest()}", body)
    connection.close()
    if status != 201:
        raise RuntimeError(f"{status}: {answer[:200]}")


def request_latency(home, count):
    context = script_context(home)
    show_times("new connection, durable PUT of 10 KiB", milliseconds(lambda: put_new_chunk(context), count))
    show_times("new connection, nothing asked", milliseconds(lambda: Connection(context).close(), count))
    body = os.urandom(10 << 10)
    path = f"/v1/chunks/{hashlib.sha256(body).hexdigest()}"
    connection = Connection(context)
    connection.ask(f"PUT {path}", body)

    def get():
        if connection.ask(f"GET {path}") != (200, body):
            raise RuntimeError("GET gave something else")

    milliseconds(get, 50)
    show_times("GET of 10 KiB on a kept connection", milliseconds(get, 5 * count))


def process_latency(work, count):
    a, path = f"{work}/dst/a", f"{work}/dst/ten-kib"
    send = shlex.split(f"{COLIS} --home {a} -q send {path} --to 127.0.0.1:{PORTS['colis']}")
    taken = []
    for _ in range(count + 1):
        random_file(path, 10 << 10)
        taken += milliseconds(lambda: subprocess.run(send, check=True, stdout=subprocess.DEVNULL), 1)
    # The first one learns to know the peer.
    show_times("colis send of 10 KiB, whole process", sorted(taken[1:]))
    version = [COLIS, "--version"]
    show_times("colis --version, whole process", milliseconds(
        lambda: subprocess.run(version, check=True, stdout=subprocess.DEVNULL), count))
    show_times("/bin/true, whole process, for comparison", milliseconds(lambda: subprocess.run(["/bin/true"], check=True), count))


def start_latency(work, count):
    """From the start of the process to the first connection, and to the first answer on it."""
    make_homes(work)
    tool = colis_tools(work, "none")["colis-send"]
    context, accepted, answered = script_context(f"{work}/dst/a"), [], []
    for _ in range(count):
        begin = time.perf_counter()
        server = subprocess.Popen(shlex.split(tool.server), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                socket.create_connection(("127.0.0.1", tool.port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.0002)
        accepted.append((time.perf_counter() - begin) * 1e3)
        Connection(context).ask("GET /v1/health")
        answered.append((time.perf_counter() - begin) * 1e3)
        server.terminate()
        server.wait()
    show_times("colis serve, to the first connection", sorted(accepted))
    show_times("colis serve, to the first answer", sorted(answered))


def latency(work, args):
    with Serving(work, colis_tools(work, "none")["colis-send"]):
        request_latency(f"{work}/dst/a", args.requests)
        process_latency(work, args.count)
    clean(work)
    start_latency(work, args.count)
    clean(work)


def bytes_under(folder):
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(f"{path}/{name}").st_size
            except OSError:
                pass
    return total


def resumed(work, source, share):
    """Kills the sender when `share` of `source` is stored; times the second send."""
    tool, end = colis_tools(work, source)["colis-send"], length_of(source) * share
    tool.command = tool.command.replace(" -q ", " ")
    with Serving(work, tool) as server:
        warm(work)
        first = start(tool.command)
        while bytes_under(f"{work}/dst/b/chunks") < end:
            if first.poll() is not None:
                raise RuntimeError("the first send ended before it was cut")
            time.sleep(0.01)
        first.kill()
        first.wait()
        second = timed(tool, server)
    already = re.search(r"(\d+) of (\d+) chunks already there", second["said"])
    if not already:
        raise RuntimeError("the second send says nothing of chunks that were there")
    second["already"] = int(already[1]) / int(already[2])
    return second


def resume(work, args):
    source = f"{work}/data/1g"
    if args.mib:
        source = f"{work}/data/{args.mib}m"
        random_file(source, args.mib * MIB)
    whole = colis_tools(work, source)["colis-send"]
    todo = {"whole": lambda: once(work, whole), "resumed": lambda: resumed(work, source, args.share)}
    results = rounds_of(args.rounds, todo)
    show(results, length_of(source))
    pairs = [(b["wall"] / a["wall"], b["already"]) for a, b in zip(results["whole"], results["resumed"]) if a and b]
    for ratio, already in pairs:
        print(f"resumed: {ratio:.2f} of a whole send, {already:.0%} were there")
    print(f"median {statistics.median(ratio for ratio, _ in pairs):.2f}")


def sparse(work, length):
    path = f"{work}/data/sparse"
    with open(path, "wb") as file:
        file.truncate(length)
    return path


def memory(work, args):
    for size in args.gib:
        source = sparse(work, int(size * GIB))
        available = colis_tools(work, source)
        stored, opened, fetched = (once(work, available[f"colis-{name}"]) for name in ("send", "deliver", "receive"))
        print(f"{size:g} GiB: sending {stored['client']:.1f} MiB, storing {stored['server']:.1f} MiB,"
              f" storing and opening {opened['server']:.1f} MiB, receiving {fetched['client']:.1f} MiB")
        os.remove(source)


def growth(work, args):
    def cost(source, tool, units):
        return once(work, colis_tools(work, source)[tool])["wall"] / units

    def compare(what, few, many):
        results = rounds_of(args.rounds, {"few": few, "many": many})
        ratios = [b / a for a, b in zip(results["few"], results["many"]) if a and b]
        few, many = (statistics.median(filter(None, results[name])) for name in ("few", "many"))
        print(f"{what}: {few * 1e3:.3f} ms, then {many * 1e3:.3f} ms: {statistics.median(ratios):.2f} x")

    low, high = args.gib
    compare(f"a GiB, of {low:g} and of {high:g}", *(
        (lambda size=size: cost(sparse(work, int(size * GIB)), "colis-send", size)) for size in (low, high)))
    low, high = args.files
    for count in (low, high):
        small_files(f"{work}/data/files-{count}", count)
    compare(f"a file of 10 KiB delivered, of {low} and of {high}", *(
        (lambda count=count: cost(f"{work}/data/files-{count}", "colis-deliver", count)) for count in (low, high)))


def parser():
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(required=True)

    def command(name, function):
        sub = commands.add_parser(name)
        sub.add_argument("work", type=os.path.abspath)
        sub.set_defaults(function=function)
        return sub

    command("setup", lambda work, _: setup(work))
    sub = command("run", run)
    sub.add_argument("rounds", type=int)
    sub.add_argument("set", choices=("1g", "small", "ten"))
    sub.add_argument("tool", nargs="+", choices=list(tools("", "")))
    sub = command("bench-store", bench_store)
    sub.add_argument("rounds", type=int)
    sub.add_argument("--ideal", type=float, help="core-seconds a GiB of the ideal model: prints the share")
    sub = command("latency", latency)
    sub.add_argument("--requests", type=int, default=300)
    sub.add_argument("--count", type=int, default=30, help="of processes")
    sub = command("resume", resume)
    sub.add_argument("rounds", type=int)
    sub.add_argument("--mib", type=int, help="another file than that of 1 GiB")
    sub.add_argument("--share", type=float, default=0.9, help="where the first send is cut")
    command("memory", memory).add_argument("--gib", type=float, nargs="+", default=[1, 16])
    sub = command("growth", growth)
    sub.add_argument("--rounds", type=int, default=1)
    sub.add_argument("--gib", type=float, nargs=2, default=[1, 16])
    sub.add_argument("--files", type=int, nargs=2, default=[1_000, 100_000])
    return top


if __name__ == "__main__":
    arguments = parser().parse_args()
    if arguments.function in (run, bench_store, latency, resume, memory, growth):
        configure(arguments.work)
    arguments.function(arguments.work, arguments)
