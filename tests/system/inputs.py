"""Input data for real programs, generated the same way every time."""

import json


def write_json(path, count=2000):
    with open(path, "w", encoding="ascii") as file:
        json.dump([{"id": i, "name": "item %d" % i, "tags": ["a", "b", str(i % 7)],
                    "nested": {"x": i * 3, "y": None, "z": i % 2 == 0}} for i in range(count)], file)


def write_xml(path, count=5000):
    with open(path, "w", encoding="ascii") as file:
        file.write("<?xml version=\"1.0\"?>\n<items>\n")
        for i in range(count):
            file.write("<item id=\"%d\"><name>item %d</name><price>%d.50</price></item>\n"
                       % (i, i, i % 100))
        file.write("</items>\n")


SQL = """
PRAGMA journal_mode=MEMORY;
CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, value REAL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 20000)
INSERT INTO t SELECT i, 'name ' || (i * 7919 % 20011), i * 0.5 FROM n;
CREATE INDEX names ON t(name);
SELECT count(*), sum(value), min(name), max(name) FROM t;
SELECT name FROM t ORDER BY name DESC LIMIT 3;
SELECT length(group_concat(name)) FROM t;
"""

PERL = """
my %h;
for my $i (1 .. 20000) { push @{$h{$i % 500}}, "value $i" x ($i % 5); }
my $n = 0;
for my $k (sort { $a <=> $b } keys %h) { $n += length join(",", @{$h{$k}}); }
my $s = join " ", map { scalar reverse } split / /, "one two three" x 1000;
print "$n ", length($s), " ", ($s =~ tr/e//), "\\n";
"""

PYTHON = """
import json, re
data = [{"id": i, "text": "item %d" % i, "list": list(range(i % 10))} for i in range(5000)]
text = json.dumps(data)
back = json.loads(text)
words = {}
for entry in back:
    for word in re.findall(r"[a-z]+|[0-9]+", entry["text"]):
        words[word] = words.get(word, 0) + 1
print(len(text), len(words), sum(len(e["list"]) for e in back))
"""

BASH = """
set -e
total=0
for i in 1 2 3 4 5 6 7 8; do
    value=$(echo "$i" | sed 's/$/0/' | cat)
    total=$((total + value))
done
(cd / && pwd; exit 3) || echo "subshell: $?"
declare -A table
while read -r key value; do table[$key]=$value; done < <(printf '%s\\n' 'a 1' 'b 2' 'c 3')
echo "${table[a]}${table[b]}${table[c]} $total"
printf '%s\\n' delta alpha charlie bravo | sort | tr a-z A-Z | paste -sd,
sleep 0.05 &
wait $!
echo "an error" >&2
exit 4
"""

CPLUSPLUS = """
#include <algorithm>
#include <iostream>
#include <map>
#include <regex>
#include <string>
#include <vector>
template <int N> struct fibonacci { enum { value = fibonacci<N - 1>::value + fibonacci<N - 2>::value }; };
template <> struct fibonacci<0> { enum { value = 0 }; };
template <> struct fibonacci<1> { enum { value = 1 }; };
int main()
{
    std::map<std::string, std::vector<int>> table;
    for (int i = 0; i < 100; i++) {
        table[std::to_string(i % 10)].push_back(i);
    }
    std::cout << table.size() << ' ' << int(fibonacci<30>::value) << '\\n';
}
"""

NODE = """
const parts = [];
for (let i = 0; i < 20000; i++) parts.push({ id: i, text: 'item ' + i, list: [i, i + 1] });
const text = JSON.stringify(parts);
const back = JSON.parse(text);
const buffers = [];
for (let i = 0; i < 200; i++) buffers.push(Buffer.alloc(65536, i));
const hash = require('crypto').createHash('sha256').update(text).digest('hex');
const zipped = require('zlib').gzipSync(text);
const again = require('zlib').gunzipSync(zipped).toString() === text;
setTimeout(() => console.log(back.length, buffers.length, hash, again), 20);
"""
