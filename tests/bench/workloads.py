"""The workloads: real programs on generated inputs, and two of our own samples."""

import os
import shutil

SEARCH = "/usr/sbin:/usr/bin:/sbin:/bin:" + os.environ.get("PATH", "")


def find(program):
    return shutil.which(program, path=SEARCH)


class Workload:
    """A command to measure. `server` names one that a client drives from outside."""

    def __init__(self, name, text, command, stdin=None, env=None, server=False):
        self.name = name
        self.text = text
        self.command = command
        self.stdin = stdin
        self.env = env or {}
        self.server = server

    def is_possible(self):
        return self.command[0] is not None


def write(path, write_content):
    """Writes a file once; a half-written one never gets its name."""
    if not os.path.exists(path):
        with open(path + ".new", "w", encoding="ascii") as file:
            write_content(file)
        os.rename(path + ".new", path)
    return path


def json_array(size_bytes):
    def content(file):
        written = 0
        number = 0
        file.write("[")
        while written < size_bytes:
            entry = "%s{\"id\":%d,\"name\":\"item %d\",\"tags\":[\"a\",\"b%d\"],\"price\":%d.5}" % (
                "," if number else "", number, number, number % 10, number % 1000)
            written += file.write(entry)
            number += 1
        file.write("]\n")
    return content


def xml_elements(count):
    def content(file):
        file.write("<items>\n")
        for number in range(count):
            file.write("<item id=\"%06d\"><name>element %06d</name><n>%d</n></item>\n"
                       % (number, number, number % 10))
        file.write("</items>\n")
    return content


SQL = """CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, value REAL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < {count})
INSERT INTO t SELECT i, 'name ' || (i * 7919 % 1000003), i * 0.5 FROM n;
SELECT count(*), max(name) FROM (SELECT name FROM t ORDER BY name DESC);
"""

PERL = """my %h;
for my $i (1 .. {count}) {{ push @{{$h{{$i % 5000}}}}, "value $i"; }}
my $n = 0;
for my $k (sort {{ $a <=> $b }} keys %h) {{ $n += length join(",", @{{$h{{$k}}}}); }}
print "$n\\n";
"""

PYTHON = """import json
data = [{{"id": i, "text": "item %d" % i, "list": [i, i + 1]}} for i in range({count})]
for _ in range(2):
    data = json.loads(json.dumps(data))
print(len(data))
"""

TEMPLATES = """#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>
template <int N> struct number { using type = std::tuple<std::integral_constant<int, N>, typename number<N - 1>::type>; };
template <> struct number<0> { using type = int; };
using all = number<200>::type;
using either = std::variant<int, std::string, std::vector<int>, std::map<int, std::string>, double>;
int main()
{
    std::map<std::string, either> table;
    table["a"] = 1;
    table["b"] = std::vector<int>{3, 2, 1};
    std::regex words("[a-z]+([0-9]*)");
    std::unordered_map<std::string, std::shared_ptr<all>> more;
    std::function<int(int)> f = [&](int n) { return n + int(table.size()); };
    for (auto &[key, value] : table) {
        std::visit([&](auto &v) { std::cout << key << sizeof(v) << std::regex_match(key, words); }, value);
    }
    return f(int(more.size()));
}
"""


def all_workloads(folder, samples, quick):
    """Makes the inputs in `folder`; returns the workloads in the order of the table."""
    os.makedirs(folder, exist_ok=True)
    scale = 10 if quick else 1
    suffix = "-quick" if quick else ""

    def path(name):
        stem, dot, ending = name.partition(".")
        return os.path.join(folder, stem + suffix + dot + ending)

    items = write(path("items.json"), json_array(12000000 // scale))
    elements = write(path("items.xml"), xml_elements(200000 // scale))
    sql = write(path("script.sql"), lambda file: file.write(SQL.format(count=400000 // scale)))
    perl = write(path("hash.pl"), lambda file: file.write(PERL.format(count=800000 // scale)))
    python = write(path("objects.py"), lambda file: file.write(PYTHON.format(count=60000 // scale)))
    source = write(path("templates.cpp"), lambda file: file.write(TEMPLATES))
    stress = os.path.join(samples, "stress")
    rounds = 16000000 // scale
    compiler = None
    if find("g++"):
        with os.popen("g++ -print-prog-name=cc1plus") as answer:
            compiler = answer.read().strip()
    result = [
        Workload("jq", "`jq '[.[]\\|.id]\\|add'` over a 12 MB array of objects",
                 [find("jq"), "[.[]|.id]|add", items]),
        Workload("xmllint", "`xmllint --noout` over a 12 MB file of 200 000 small elements",
                 [find("xmllint"), "--noout", elements]),
        Workload("sqlite3", "400 000 inserts in memory and a sort",
                 [find("sqlite3"), ":memory:", ".read " + sql]),
        Workload("perl", "a hash of 5 000 arrays with 800 000 strings", [find("perl"), perl]),
        Workload("python3", "`PYTHONMALLOC=malloc`, 60 000 objects to JSON and back, twice",
                 ["/usr/bin/python3" if os.path.exists("/usr/bin/python3") else None, "-S", python],
                 env={"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"}),
        Workload("cc1plus", "gcc's C++ compiler on a file full of templates",
                 [compiler if compiler and os.path.isabs(compiler) else None, "-quiet", "-O1",
                  "-std=c++17", "-D_GNU_SOURCE", source, "-o", "/dev/null"]),
        Workload("redis", "redis-server (jemalloc) under redis-benchmark: set, get, lpush, hset",
                 [find("redis-server") and find("redis-benchmark") and find("redis-server")],
                 server=True),
    ]
    for threads in (1, 2, 8, 64):
        result.append(Workload(
            "stress-%d" % threads, "%d thread%s that only allocate and free, %d million pairs in all"
            % (threads, "s" if threads > 1 else "", rounds // 1000000),
            [stress, str(threads), str(rounds // threads), "local"]))
    for threads in (2, 8):
        result.append(Workload(
            "handover-%d" % threads, "the same, each block freed by another thread",
            [stress, str(threads), str(rounds // threads), "handed-over"]))
    result.append(Workload("true", "`true`: what starting and ending costs", [find("true")]))
    return result
