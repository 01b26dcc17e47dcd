"""Two hosts on one machine, joined by a cable that can be cut: network namespaces with own host names and shared memory.

As a program, two_hosts.py DIRECTORY HOST COMMAND..., it is what Open MPI starts its daemons with instead of ssh."""
import os
import subprocess
import sys

HOSTS = {"hosta": "10.79.0.1", "hostb": "10.79.0.2"}


def sh(*command, check=True):
    return subprocess.run(command, check=check, capture_output=True, text=True)


class TwoHosts:
    def __init__(self, directory):
        self.directory = os.path.abspath(directory)
        self.prefix = f"gpas{os.getpid()}"

    def __enter__(self):
        with open(f"{self.directory}/hosts", "w") as file:
            file.write("127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in HOSTS.items()))
        with open(f"{self.directory}/prefix", "w") as file:
            file.write(self.prefix)
        for name in HOSTS:
            sh("ip", "netns", "add", f"{self.prefix}{name}")
            sh("ip", "-n", f"{self.prefix}{name}", "link", "set", "lo", "up")
        sh("ip", "-n", f"{self.prefix}hosta", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns",
           f"{self.prefix}hostb")
        for name, address in HOSTS.items():
            sh("ip", "-n", f"{self.prefix}{name}", "addr", "add", f"{address}/24", "dev", "eth0")
            sh("ip", "-n", f"{self.prefix}{name}", "link", "set", "eth0", "up")
        return self

    def __exit__(self, *_):
        for name in HOSTS:
            sh("ip", "netns", "del", f"{self.prefix}{name}", check=False)

    def cut(self):
        sh("ip", "-n", f"{self.prefix}hosta", "link", "set", "eth0", "down")

    def launcher(self, ranks_a_host):
        """The words before a program: mpirun on the first host, ranks on both."""
        agent = f"{sys.executable} {os.path.abspath(__file__)} {self.directory}"
        mca = {"plm": "rsh", "plm_rsh_agent": agent, "pml": "ob1", "btl": "self,vader,tcp",
               "btl_tcp_if_include": "eth0", "oob_tcp_if_include": "eth0",
               # mpirun's own patience with a silent host
               "oob_tcp_keepalive_time": "3", "oob_tcp_keepalive_intvl": "1", "oob_tcp_keepalive_probes": "3"}
        words = [sys.executable, os.path.abspath(__file__), self.directory, "hosta", "mpirun", "-H",
                 ",".join(f"{name}:{ranks_a_host}" for name in HOSTS), "-n", str(2 * ranks_a_host), "-x", "GPAS_REHEARSE",
                 "-x", "GPAS_ATTEMPT"]
        for name, value in mca.items():
            words += ["--mca", name, value]
        return words


def enter(directory, host, command):
    with open(f"{directory}/prefix") as file:
        namespace = file.read() + host
    # One argument is a line for a shell (from Open MPI), more are words.
    line = command[0] if len(command) == 1 else subprocess.list2cmdline(command)
    script = ('hostname "$0" && mount --bind "$1/hosts" /etc/hosts && mount -t tmpfs -o mode=1777,size=1g shm /dev/shm && '
              'exec sh -c "$2"')
    os.execvp("nsenter", ["nsenter", f"--net=/run/netns/{namespace}", "unshare", "-u", "-m", "--propagation", "private",
                          "sh", "-c", script, host, directory, line])


if __name__ == "__main__":
    enter(sys.argv[1], sys.argv[2], [" ".join(sys.argv[3:])] if sys.argv[3] != "mpirun" else sys.argv[3:])
