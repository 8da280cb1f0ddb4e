"""Exports and flame graphs, each read by the program that it is for: names, numbers and sums must
be the report's.
"""

import gzip
import json
import os
import re
import shutil
import sqlite3
import xml.etree.ElementTree

from harness import MEMTRACK, SAMPLES, MemtrackTest, main, need, run

KNOWN = os.path.join(SAMPLES, "known_totals")
CPU = os.path.join(SAMPLES, "cpu")
FLAMEGRAPH = "/usr/share/perl5/Devel/NYTProf/flamegraph.pl"
HOSTILE = 'a"b\'<script>alert(1)</script>&amp;]]>\x1b[31m\nnext;line \u202e\\"%s'
SVG = "{http://www.w3.org/2000/svg}"


class Pictures(MemtrackTest):
    def export(self, name, *options, recording="run.mtk"):
        out = self.path("out." + name)
        outcome = run([MEMTRACK, "export", self.path(recording), "--format", name, "-f",
                       "-o", out, *options])
        self.assertEqual(outcome.status, 0, outcome)
        return out

    def flame(self, *options, inputs=("run.mtk",)):
        out = self.path("out.svg")
        outcome = run([MEMTRACK, "flame", *(self.path(name) for name in inputs), "-f", "-o", out,
                       *options])
        self.assertEqual(outcome.status, 0, outcome)
        return out

    def frames(self, path):
        tree = xml.etree.ElementTree.parse(path)
        return [group for group in tree.iter(SVG + "g") if group.get("class") == "f"]

    def run_tool(self, *command, env=None):
        outcome = run(list(command), env=env)
        self.assertEqual(outcome.status, 0, outcome)
        return outcome.stdout.decode(errors="replace")

    def record_known(self):
        outcome = self.record([KNOWN])
        self.assertEqual(outcome.status, 3, outcome)
        return self.report()["totals"]

    def record_cpu(self):
        outcome = self.record([CPU, "split", "1"], ["--cpu", "499"])
        self.assertEqual(outcome.status, 0, outcome)
        return self.report()["cpu"]

    def make_hostile(self):
        """Gives every function of the recording a name that no viewer may obey."""
        self.record_known()
        database = sqlite3.connect(self.path("run.mtk"))
        database.execute("UPDATE function SET name = ? || id", (HOSTILE,))
        database.commit()
        database.close()

    # ---- pprof ----

    def pprof_total(self, path, index):
        """The sum of one sample type as go tool pprof itself adds it up, in bytes or counts."""
        text = self.run_tool(need("go"), "tool", "pprof", "-unit=B", "-raw", path)
        types = re.search(r"Samples:\n(.*)\n", text).group(1).split()
        names = [word.split("/")[0] for word in types]
        rows = re.findall(r"^ *((?:\d+ +)*\d+): ", text[text.index("Samples:"):
                                                         text.index("Locations")], re.M)
        column = names.index(index)
        return sum(int(row.split()[column]) for row in rows)

    def test_pprof_reads_exports_and_finds_the_reports_totals(self):
        totals = self.record_known()
        path = self.export("pprof")
        for index, field in (("alloc_objects", "allocations"), ("alloc_space", "allocated_bytes"),
                             ("inuse_objects", "live_blocks"), ("inuse_space", "live_bytes"),
                             ("peak_space", "peak_bytes"),
                             ("temporary_objects", "temporary_allocations")):
            self.assertEqual(self.pprof_total(path, index), totals[field], index)

    def test_pprof_shows_functions_lines_and_modules_of_an_export(self):
        self.record_known()
        path = self.export("pprof", "--metric", "allocated")
        go = need("go")
        top = self.run_tool(go, "tool", "pprof", "-top", path)
        self.assertIn("Type: alloc_space", top)
        self.assertRegex(top, r"\bmain\b")
        self.assertIn("main", self.run_tool(go, "tool", "pprof", "-peek", "main", path))
        self.assertIn("known_totals.c:", self.run_tool(go, "tool", "pprof", "-lines", "-top", path))
        raw = self.run_tool(go, "tool", "pprof", "-raw", path)
        build_ids = re.findall(r"known_totals ([0-9a-f]{40})", raw)
        self.assertEqual(len(build_ids), 1, raw[raw.index("Mappings"):])
        self.assertIn("[FN]", raw)
        self.assertIn("main", self.run_tool(go, "tool", "pprof", "-traces", path))

    def test_pprof_draws_a_base_compared_export_with_graphviz(self):
        totals = self.record_known()
        path = self.export("pprof", "--metric", "allocated")
        need("dot")
        drawn = xml.etree.ElementTree.fromstring(self.run_tool(need("go"), "tool", "pprof", "-svg", path))
        text = " ".join(drawn.itertext())
        largest = max(self.report()["sites"], key=lambda site: site["allocated_bytes"])
        self.assertIn(largest["location"]["function"], text)
        self.assertIn("main", text.split())
        # The base holds the same: nothing is left.
        self.assertGreater(totals["allocated_bytes"], 0)
        left = self.run_tool(need("go"), "tool", "pprof", "-top", "-base", path, path)
        self.assertRegex(left, "of 0 total|0 of 0")

    def test_pprof_subtracts_one_export_from_another(self):
        self.record_known()
        path = self.export("pprof", "--metric", "allocated")
        text = self.run_tool(need("go"), "tool", "pprof", "-top", "-base", path, path)
        self.assertRegex(text, r"Showing nodes accounting for 0, ")

    def test_pprof_shows_cpu_samples_with_their_threads(self):
        cpu = self.record_cpu()
        path = self.export("pprof", "--metric", "cpu")
        total = self.pprof_total(path, "cpu")
        self.assertEqual(round(total * 499 / 1e9), cpu["samples"])
        self.assertIn("tid:", self.run_tool(need("go"), "tool", "pprof", "-tags", path))

    def test_pprof_export_merges_all_processes(self):
        outcome = self.record(["/bin/sh", "-c", "%s; %s; true" % (KNOWN, KNOWN)])
        self.assertEqual(outcome.status, 0, outcome)
        report = self.report()
        expected = report["totals"]["allocations"]
        todo = list(report["children"])
        while todo:
            child = todo.pop()
            expected += child["totals"]["allocations"]
            todo += child["children"]
        self.assertEqual(self.pprof_total(self.export("pprof", "--all-processes"),
                                          "alloc_objects"), expected)

    # ---- collapsed and speedscope ----

    def test_collapsed_stacks_add_up_and_flamegraph_draws_them(self):
        totals = self.record_known()
        for metric, field in (("allocated", "allocated_bytes"), ("allocations", "allocations"),
                              ("live", "live_bytes"), ("blocks", "live_blocks"),
                              ("peak", "peak_bytes"), ("temporary", "temporary_allocations")):
            path = self.export("collapsed", "--metric", metric)
            with open(path, encoding="utf-8") as file:
                lines = file.read().splitlines()
            self.assertEqual(sum(int(line.rsplit(" ", 1)[1]) for line in lines), totals[field],
                             metric)
        self.assertTrue(os.path.exists(FLAMEGRAPH), "run scripts/packages.sh test")
        path = self.export("collapsed", "--metric", "allocated")
        svg = self.run_tool(need("perl"), FLAMEGRAPH, path)
        self.assertIn("main", svg)

    def test_speedscope_file_has_the_reports_totals(self):
        totals = self.record_known()
        with open(self.export("speedscope"), encoding="utf-8") as file:
            scope = json.load(file)
        sums = {profile["name"]: sum(profile["weights"]) for profile in scope["profiles"]}
        self.assertEqual(sums["allocated"], totals["allocated_bytes"])
        self.assertEqual(sums["live"], totals["live_bytes"])
        self.assertEqual(sums["peak"], totals["peak_bytes"])
        self.assertEqual(scope["profiles"][scope["activeProfileIndex"]]["name"], "live")
        frames = len(scope["shared"]["frames"])
        for profile in scope["profiles"]:
            self.assertEqual(len(profile["samples"]), len(profile["weights"]))
            self.assertTrue(all(0 <= frame < frames for sample in profile["samples"]
                                for frame in sample))

    def test_speedscope_file_fits_speedscopes_own_schema(self):
        self.record_known()
        path = self.export("speedscope")
        if shutil.which("npm") is None:
            self.skipTest("npm is missing: run scripts/packages.sh page")
        installed = run(["npm", "install", "--silent", "--no-audit", "--no-fund", "speedscope@1",
                         "ajv@6"], cwd=self.folder)
        if installed.status != 0:
            self.skipTest("npm could not fetch speedscope and ajv: is there a network?")
        script = """
            const fs = require('fs'), Ajv = require('ajv');
            const dist = 'node_modules/speedscope/dist/release/';
            const schema = JSON.parse(fs.readFileSync(dist + 'file-format-schema.json'));
            const check = new Ajv({schemaId: 'auto', allErrors: true}).compile(schema);
            if (!check(JSON.parse(fs.readFileSync(process.argv[1])))) {
                console.error(JSON.stringify(check.errors)); process.exit(1);
            }
            if (check({profiles: 1})) { console.error('accepts anything'); process.exit(1); }
            """
        outcome = run([need("node"), "-e", script, path], cwd=self.folder)
        self.assertEqual(outcome.status, 0, outcome)

    # ---- Valgrind's, jemalloc's and Chrome's formats ----

    def test_dhat_file_has_what_its_viewer_checks_and_the_reports_totals(self):
        totals = self.record_known()
        with open(self.export("dhat"), encoding="utf-8") as file:
            dhat = json.load(file)
        for field in ("mode", "verb", "bklt", "bkacc", "tu", "Mtu", "tuth", "cmd", "pid", "te",
                      "tg", "pps", "ftbl"):
            self.assertIn(field, dhat)
        self.assertEqual(dhat["dhatFileVersion"], 2)
        def total(field):
            return sum(point[field] for point in dhat["pps"])
        for field, known in (("tb", "allocated_bytes"), ("tbk", "allocations"),
                             ("gb", "peak_bytes"), ("gbk", "peak_blocks"), ("eb", "live_bytes"),
                             ("ebk", "live_blocks")):
            self.assertEqual(total(field), totals[known], field)
        for point in dhat["pps"]:
            self.assertTrue(all(0 < frame < len(dhat["ftbl"]) for frame in point["fs"]))
            self.assertGreaterEqual(point["mb"], point["gb"])

    def test_dhat_viewer_draws_the_export_in_a_browser(self):
        totals = self.record_known()
        viewer = "/usr/libexec/valgrind/dh_view."
        if not os.path.exists(viewer + "js"):
            self.fail("valgrind's dh_view is missing: run scripts/packages.sh test")
        with open(self.export("dhat"), encoding="utf-8") as file:
            data = file.read().replace("<", "\\u003c")
        with open(viewer + "js", encoding="utf-8") as file:
            script = file.read()
        page = self.path("page.html")
        with open(page, "w", encoding="utf-8") as file:
            file.write("<html><body onload='onLoad(); gFilename = \"f\"; gData = kept; "
                       "buildTree(); displayTree();'><script>%s</script><script>const kept = %s;"
                       "</script></body></html>" % (script.replace("</script>", ""), data))
        outcome = run([need("chromium"), "--headless=new", "--no-sandbox", "--disable-gpu",
                       "--user-data-dir=" + self.path("profile"), "--dump-dom", "file://" + page])
        self.assertEqual(outcome.status, 0, outcome)
        self.assertIn("{:,} bytes".format(totals["allocated_bytes"]), outcome.stdout.decode())

    def test_ms_print_finds_the_reports_peak_in_a_massif_export(self):
        totals = self.record_known()
        path = self.export("massif")
        text = self.run_tool(need("ms_print"), path)
        self.assertIn("{:,}".format(totals["peak_bytes"]), text)
        self.assertIn("(peak)", text)
        self.assertRegex(text, r"take_batch \(.*known_totals.c:\d+\)")
        with open(path, encoding="utf-8") as file:
            sizes = [int(size) for size in re.findall(r"mem_heap_B=(\d+)", file.read())]
        self.assertEqual(max(sizes), totals["peak_bytes"])
        self.assertEqual(sizes[-1], totals["live_bytes"])

    def test_callgrind_annotate_finds_the_reports_totals(self):
        totals = self.record_known()
        for metric, field in (("allocated", "allocated_bytes"), ("allocations", "allocations"),
                              ("live", "live_bytes"), ("peak", "peak_bytes")):
            path = self.export("callgrind", "--metric", metric)
            text = self.run_tool(need("callgrind_annotate"), "--show=" + metric, path)
            self.assertRegex(text, r"(?m)^{:,} \(100.0%\) +PROGRAM TOTALS".format(totals[field]))
        self.assertIn("known_totals.c:take_batch", text)
        inclusive = self.run_tool(need("callgrind_annotate"), "--inclusive=yes",
                                  "--show=peak", path)
        self.assertRegex(inclusive, r"(?m)^{:,} .*:main".format(totals["peak_bytes"]))

    def test_jeprof_finds_the_reports_totals_and_names(self):
        totals = self.record_known()
        path = self.export("jeprof")
        for option, field in (("--inuse_space", "live_bytes"), ("--inuse_objects", "live_blocks"),
                              ("--alloc_space", "allocated_bytes"),
                              ("--alloc_objects", "allocations")):
            text = self.run_tool(need("jeprof"), "--text", "--show_bytes", option, path)
            self.assertRegex(text, r"Total: {} ".format(totals[field]))
        self.assertIn("take_batch", text)

    def test_heaptrack_print_finds_the_reports_totals(self):
        totals = self.record_known()
        text = self.run_tool(need("heaptrack_print"), "-f", self.export("heaptrack"))
        def figure(label):
            return re.search(label + r": ([0-9.]+[KMGB]*)", text).group(1)
        self.assertEqual(int(figure("calls to allocation functions")), totals["allocations"])
        self.assertEqual(int(figure("temporary memory allocations")),
                         totals["temporary_allocations"])
        self.assertEqual(figure("peak heap memory consumption"),
                         "%.2fK" % (totals["peak_bytes"] / 1000))
        self.assertEqual(figure("total memory leaked"), "%dB" % totals["live_bytes"])
        self.assertIn("take_batch", text)

    def test_chrome_trace_has_the_timeline_as_counters(self):
        self.record_known()
        report = self.report()
        with open(self.export("chrome"), encoding="utf-8") as file:
            trace = json.load(file)
        live = [event["args"]["bytes"] for event in trace["traceEvents"]
                if event["ph"] == "C" and event["name"] == "live"]
        self.assertEqual(live, [point["live_bytes"] for point in report["timeline"]])

    # ---- flame graphs ----

    def test_flame_graph_has_the_reports_totals_and_nested_frames(self):
        totals = self.record_known()
        for metric, field in (("allocated", "allocated_bytes"), ("peak", "peak_bytes"),
                              ("allocations", "allocations")):
            frames = self.frames(self.flame("--metric", metric, "--min-width", "0"))
            self.assertEqual(int(frames[0].get("data-v")), totals[field])
            self.assertTrue(any(frame.get("data-n") == "main" for frame in frames))
            ends = {}
            for frame in frames:
                depth, x = int(frame.get("data-d")), float(frame.get("data-x"))
                end = x + float(frame.get("data-w"))
                if depth > 0:
                    self.assertLessEqual(end, ends[depth - 1] + 1e-6)
                ends[depth] = end

    def test_flame_graph_of_the_same_state_twice_has_no_change(self):
        self.record_known()
        frames = self.frames(self.flame("--metric", "allocated", inputs=("run.mtk", "run.mtk")))
        for frame in frames:
            self.assertIn("+0 B", frame.find(SVG + "title").text)
            self.assertEqual(frame.find(SVG + "rect").get("fill"), "#ebebeb")

    def test_flame_graph_shows_growth_red_and_shrinkage_blue(self):
        self.record_known()
        self.assertEqual(self.record(["/bin/true"], recording="little.mtk").status, 0)
        def colour(inputs):
            fill = self.frames(self.flame("--metric", "allocated", inputs=inputs))[0].find(
                SVG + "rect").get("fill")
            return int(fill[1:3], 16), int(fill[5:7], 16)
        red, blue = colour(("little.mtk", "run.mtk"))
        self.assertGreater(red, blue)
        red, blue = colour(("run.mtk", "little.mtk"))
        self.assertGreater(blue, red)

    def chromium(self, path, fragment="", script=""):
        """The picture as headless Chromium leaves it, after a script of ours."""
        page = self.path("page.svg")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(page, "w", encoding="utf-8") as file:
            file.write(text.replace("</svg>", "<script><![CDATA[%s]]></script></svg>" % script))
        outcome = run([need("chromium"), "--headless=new", "--no-sandbox", "--disable-gpu",
                       "--user-data-dir=" + self.path("profile"), "--window-size=1220,900",
                       "--dump-dom", "file://" + page + fragment])
        self.assertEqual(outcome.status, 0, outcome)
        dom = outcome.stdout.decode()
        return dom[dom.index("<svg"):]

    def test_flame_graph_zooms_by_click_and_key_in_a_browser(self):
        self.record_known()
        path = self.flame("--metric", "allocated", "--min-width", "0")
        names = [frame.get("data-n") for frame in self.frames(path)]
        index = names.index("main")
        dom = self.chromium(path, script="""
            const groups = Array.from(document.querySelectorAll('.f'));
            const width = (at) => +groups[at].querySelector('rect').getAttribute('width');
            const root = document.documentElement;
            groups[%d].dispatchEvent(new MouseEvent('click', {bubbles: true}));
            root.setAttribute('data-zoomed', width(%d) / width(0));
            root.setAttribute('data-hash', location.hash);
            groups[%d].dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape', bubbles: true}));
            root.setAttribute('data-hidden', document.querySelectorAll('.f.gone').length);
            """ % (index, index, index))
        hidden = int(re.search('data-hidden="([0-9]+)"', dom).group(1))
        self.assertEqual(hidden, 0)
        self.assertAlmostEqual(float(re.search('data-zoomed="([^"]*)"', dom).group(1)), 1, 2)
        self.assertIn('data-hash="#z=%d"' % index, dom)

    def test_flame_graph_searches_by_regular_expression_in_a_browser(self):
        self.record_known()
        path = self.flame("--metric", "allocated", "--min-width", "0")
        dom = self.chromium(path, "#s=%5Emai.%24")
        count = len(re.findall('class="f match"', dom))
        expected = sum(1 for frame in self.frames(path) if re.match("^mai.$", frame.get("data-n")))
        self.assertEqual(count, expected)
        self.assertRegex(dom, r"matched 100\.0 %% in %d frames" % expected)

    # ---- annotated sources ----

    def annotate(self, *options):
        outcome = run([MEMTRACK, "annotate", self.path("run.mtk"), *options])
        self.assertEqual(outcome.status, 0, outcome)
        return outcome.stdout.decode()

    def test_annotate_puts_known_totals_beside_their_lines(self):
        self.record_known()
        result = json.loads(self.annotate("--format", "json", "known_totals.c"))
        self.assertEqual(len(result["files"]), 1)
        lines = {}
        for line in result["files"][0]["lines"]:
            sums = lines.setdefault(line["function"], {"allocations": 0, "live_bytes": 0,
                                                       "peak_bytes": 0})
            for field in sums:
                sums[field] += line[field]
        self.assertEqual(lines["take_and_keep"],
                         {"allocations": 10, "live_bytes": 640, "peak_bytes": 640})
        self.assertEqual(lines["take_batch"],
                         {"allocations": 1000, "live_bytes": 0, "peak_bytes": 100000})
        text = self.annotate("known_totals.c")
        self.assertRegex(text, r"(?m)^ +1,000 +97\.7 KiB .*malloc")
        self.assertNotIn("\x1b", text)
        self.assertIn("\x1b[", self.annotate("--color", "always"))

    def test_annotate_totals_are_the_reports(self):
        totals = self.record_known()
        result = json.loads(self.annotate("--format", "json"))
        for field in ("allocations", "allocated_bytes", "live_bytes", "peak_bytes",
                      "temporary_allocations"):
            self.assertEqual(result["totals"][field], totals[field])
            self.assertEqual(sum(file[field] for file in result["files"])
                             + result["without_line"][field], totals[field])

    def test_annotate_shows_where_cpu_time_goes(self):
        cpu = self.record_cpu()
        result = json.loads(self.annotate("--format", "json", "cpu.c"))
        below = {}
        own = {}
        for line in result["files"][0]["lines"]:
            name = line["function"]
            below[name] = below.get(name, 0) + line["cpu_total_samples"]
            own[name] = own.get(name, 0) + line["cpu_self_samples"]
        self.assertAlmostEqual(below["heavy"] / (below["heavy"] + below["light"]), 0.7, delta=0.2)
        self.assertEqual(own["heavy"] + own["light"] + own["work"], 0)
        self.assertGreater(own["spin"], cpu["samples"] * 0.8)
        self.assertLessEqual(own["spin"], cpu["samples"])

    def test_annotated_html_loads_nothing_and_obeys_no_source(self):
        self.make_hostile()
        html = self.annotate("--format", "html")
        self.assertIn("default-src 'none'", html)
        self.assertNotIn("<script", html)
        self.assertIn("take_batch(", html)

    def test_annotate_says_which_sources_are_missing(self):
        self.record_known()
        database = sqlite3.connect(self.path("run.mtk"))
        database.execute("UPDATE file SET path = '/gone/' || path")
        database.commit()
        self.assertIn("not on this machine", self.annotate())
        database.execute("UPDATE file SET path = NULL")
        database.commit()
        database.close()
        self.assert_refused(65, ["-g"], "annotate", self.path("run.mtk"))

    # ---- imported profiles ----

    def make_profile(self, library, variables, suffix):
        """A heap profile that another allocator wrote of the program whose numbers are known."""
        folders = ["/usr/lib/" + name for name in os.listdir("/usr/lib")] + ["/usr/lib"]
        paths = [os.path.join(folder, library) for folder in folders
                 if os.path.exists(os.path.join(folder, library))]
        self.assertTrue(paths, "%s is missing: run scripts/packages.sh test" % library)
        outcome = run([KNOWN], env=dict(os.environ, LD_PRELOAD=paths[0], **variables))
        self.assertEqual(outcome.status, 3, outcome)
        found = [name for name in os.listdir(self.folder) if name.endswith(suffix)]
        self.assertEqual(len(found), 1, outcome)
        return self.path(found[0])

    def import_profile(self, profile, recording):
        outcome = run([MEMTRACK, "import", profile, "-f", "-o", self.path(recording)])
        self.assertEqual(outcome.status, 0, outcome)
        return self.report(recording)

    def live_of(self, report, function):
        return [(site["live_blocks"], site["live_bytes"]) for site in report["sites"]
                if site["location"]["function"] == function and site["live_blocks"] > 0]

    def test_import_reads_a_jemalloc_profile_as_jeprof_does(self):
        profile = self.make_profile("libjemalloc.so.2", {
            "MALLOC_CONF": "prof:true,prof_final:true,prof_accum:true,lg_prof_sample:0,"
                           "prof_prefix:" + self.path("je")}, ".heap")
        report = self.import_profile(profile, "je.mtk")
        self.assertEqual(self.live_of(report, "take_and_keep"), [(10, 640)])
        allocated = sum(site["allocations"] for site in report["sites"]
                        if site["location"]["function"] == "take_batch")
        self.assertEqual(allocated, 1000)
        text = self.run_tool(need("jeprof"), "--text", "--show_bytes", "--inuse_space", KNOWN,
                             profile)
        total = int(re.search(r"Total: (\d+)", text).group(1))
        self.assertLessEqual(abs(report["totals"]["live_bytes"] - total), 2)

    def test_import_reads_a_gperftools_profile(self):
        profile = self.make_profile("libtcmalloc.so.4", {"HEAPPROFILE": self.path("gp")}, ".heap")
        report = self.import_profile(profile, "gp.mtk")
        self.assertEqual(self.live_of(report, "take_and_keep"), [(10, 640)])
        outcome = run([MEMTRACK, "diff", self.path("gp.mtk"), self.path("gp.mtk"), "--format",
                       "json"])
        self.assertEqual(outcome.status, 0, outcome)
        self.assertEqual(json.loads(outcome.stdout)["totals"]["live_bytes"]["delta"], 0)

    def test_import_refuses_what_is_no_profile_and_survives_damage(self):
        path = self.path("bad")
        for content in (b"", b"\n", b"\0\0\0", b"SQLite format 3\0", b"heap_v2", b"\x1f\x8b\x08"):
            with open(path, "wb") as file:
                file.write(content)
            self.assert_refused(65, ["bad"], "import", path, "-o", self.path("bad.mtk"))
        self.assertFalse(os.path.exists(self.path("bad.mtk")))
        self.assert_refused(66, ["gone"], "import", self.path("gone"))
        for content in (b"heap_v2/1\n@ 0x1 zz 0xfffffffffffffffffff\n t*: 1: 2 [3: 4]\n",
                        b"heap_v2/1\n@\n t*: -1: 99999999999999999999 [0: 0]\nMAPPED_LIBRARIES:\n",
                        b"heap profile: 1: 1 [ 1: 1] @ heapprofile\n 1: 1 [1: 1] @"
                        + b" 0x10" * 9000 + b"\nMAPPED_LIBRARIES:\n0-0 r-xp\nq-q\n1-2 / / / / /x\n"):
            with open(path, "wb") as file:
                file.write(content)
            outcome = run([MEMTRACK, "import", path, "-f", "-o", self.path("bad.mtk")])
            self.assertEqual(outcome.status, 0, outcome)
            self.report("bad.mtk")

    # ---- hostile names and bad input ----

    def test_hostile_names_break_no_picture_and_no_export(self):
        self.make_hostile()
        path = self.flame("--metric", "allocated", "--min-width", "0")
        names = [frame.get("data-n") for frame in self.frames(path)]
        self.assertTrue(any("<script>alert(1)</script>" in name for name in names))
        with open(path, "rb") as file:
            text = file.read()
        self.assertEqual(text.count(b"<script>"), 1)
        self.assertNotIn(b"\x1b", text)
        dom = self.chromium(path, "#s=alert", "document.documentElement.setAttribute('data-done', 1)")
        self.assertIn('data-done="1"', dom)
        self.assertIn("f match", dom)
        with open(self.export("collapsed", "--metric", "allocated"), encoding="utf-8") as file:
            for line in file.read().split("\n")[:-1]:
                self.assertRegex(line, r" \d+$")
                self.assertNotIn("\x1b", line)
        with open(self.export("speedscope"), encoding="utf-8") as file:
            json.load(file)
        top = self.run_tool(need("go"), "tool", "pprof", "-top", self.export("pprof"))
        self.assertNotIn("\x1b", top)

    def assert_refused(self, status, words, *command):
        outcome = run([MEMTRACK, *command])
        self.assertEqual(outcome.status, status, outcome)
        text = outcome.stderr.decode()
        self.assertRegex(text, r"\Amemtrack: .*\n\Z")
        for word in words:
            self.assertIn(word, text)

    def test_exports_say_what_is_missing_and_how_to_get_it(self):
        self.assertEqual(self.record([KNOWN], ["--no-cpu", "--leaks=off"]).status, 3)
        run_mtk = self.path("run.mtk")
        out = self.path("there")
        self.assert_refused(65, ["no CPU samples", "--no-cpu"], "flame", run_mtk, "--metric", "cpu",
                            "-o", out)
        self.assert_refused(65, ["--leaks=full"], "export", run_mtk, "--format", "collapsed",
                            "--metric", "leaked", "-o", out)
        self.assert_refused(65, ["@peak"], "export", run_mtk + "@peak", "--format", "collapsed",
                            "--metric", "allocated", "-o", out)
        self.assertFalse(os.path.exists(out))
        self.assert_refused(64, ["pprof"], "export", run_mtk, "--format", "pprov", "-o", out)
        self.assert_refused(64, ["--metric=lvie"], "flame", run_mtk, "--metric", "lvie", "-o", out)
        self.assert_refused(66, ["no-such"], "flame", self.path("no-such"), "-o", out)

    def test_outputs_that_exist_are_kept_unless_forced(self):
        self.record_known()
        out = self.path("there")
        with open(out, "w", encoding="ascii") as file:
            file.write("precious")
        self.assert_refused(64, ["exists", "-f"], "flame", self.path("run.mtk"), "-o", out)
        self.assert_refused(64, ["exists", "-f"], "export", self.path("run.mtk"), "--format",
                            "pprof", "-o", out)
        with open(out, encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")
        outcome = run([MEMTRACK, "export", self.path("run.mtk"), "--format", "pprof", "-f", "-o",
                       out])
        self.assertEqual(outcome.status, 0, outcome)
        with gzip.open(out) as file:
            self.assertIn(b"known_totals", file.read())


if __name__ == "__main__":
    main()
