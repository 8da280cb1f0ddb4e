"""The HTML report, looked at in a real browser: it loads, shows the recording's numbers, does what
one clicks, and takes nothing in a recording for markup.
"""

import contextlib
import json
import os
import sqlite3

from harness import BUILD, MEMTRACK, SAMPLES, SOURCE, MemtrackTest, main, need, run

TOOLS = os.path.join(BUILD, "analyzer", "page", "bundle")
CHECK = os.path.join(SOURCE, "tests", "system", "page_check.mjs")
GOLDEN = os.path.join(BUILD, "tests", "golden", "golden_recordings")
BENCH = os.path.join(BUILD, "tests", "bench", "recording_bench")
SERVICE = os.path.join(SAMPLES, "service")


def live_by_function(report):
    result = {}
    for site in report["sites"]:
        if site["live_bytes"] != 0:
            name = site["location"]["function"]
            result[name] = result.get(name, 0) + site["live_bytes"]
    return result


class PageTest(MemtrackTest):
    def page(self, recording="run.mtk", *options):
        outcome = run([MEMTRACK, "report", self.path(recording), "--html", self.path("page.html"),
                       *options])
        self.assertEqual(outcome.status, 0, outcome)
        self.assertEqual(outcome.stdout, b"")
        return self.path("page.html")

    def look(self, scenario, facts, recording="run.mtk"):
        need("chromium")
        with open(self.path("facts.json"), "w", encoding="utf-8") as file:
            json.dump(facts, file)
        outcome = run([need("node"), CHECK, TOOLS, scenario, self.page(recording),
                       self.path("facts.json")])
        self.assertEqual(outcome.status, 0, outcome)

    def service(self):
        outcome = self.record([SERVICE, "2000"], ["--snapshot-every", "100ms", "--leaks=full"])
        self.assertEqual(outcome.status, 0, outcome)
        return self.report()

    def moments(self):
        """An early and a late snapshot, and what was live then, as the report tells it."""
        count = len(self.report()["snapshots"])
        self.assertGreater(count, 4)
        return [{"snapshot": snapshot, "live": live_by_function(self.report(f"run.mtk@{snapshot}"))}
                for snapshot in (1, count - 2)]

    def golden(self, name):
        self.assertEqual(run([GOLDEN, self.folder]).status, 0)
        return self.report(name + ".mtk")

    # ---- what it shows ----

    def test_page_shows_the_numbers_of_the_json_report(self):
        self.look("numbers", self.service())

    def test_page_shows_leaks_and_who_holds_the_rest(self):
        self.look("leaks", self.service())

    def test_page_shows_what_resident_memory_was_at_the_end(self):
        self.service()
        with contextlib.closing(sqlite3.connect(self.path("run.mtk"))) as base:
            items = dict(base.execute("SELECT item, bytes FROM ledger WHERE snapshot = -1"))
        self.assertIn("requested", items)
        self.look("ledger", items)

    def test_page_tells_sites_of_one_function_apart_by_their_callers(self):
        with open(self.path("wrapped.c"), "w", encoding="ascii") as file:
            file.write("#include <stdlib.h>\nvoid *xmalloc(size_t n) { return malloc(n); }\n"
                       "void *keys(void) { return xmalloc(100); }\n"
                       "void *values(void) { return xmalloc(300); }\n"
                       "void *alone(void) { return malloc(50); }\nvoid *kept[3];\n"
                       "int main(void) { kept[0] = keys(); kept[1] = values(); kept[2] = alone();\n"
                       "    return 0; }\n")
        outcome = run([need("gcc"), "-g", "-O0", "-o", self.path("wrapped"), self.path("wrapped.c")])
        self.assertEqual(outcome.status, 0, outcome)
        self.assertEqual(self.record([self.path("wrapped"), "", "two words"]).status, 0)
        self.look("callers", {"callers": {"100": "\u2190 keys \u2190 main", "50": None,
                                          "300": "\u2190 values \u2190 main"},
                              "command": self.path("wrapped") + " '' 'two words'"})

    def test_page_shows_where_cpu_time_went(self):
        outcome = self.record([os.path.join(SAMPLES, "cpu"), "split", "1"])
        self.assertEqual(outcome.status, 0, outcome)
        self.look("cpu", self.report())

    def test_page_has_something_to_say_in_every_view(self):
        self.service()
        self.look("views", {})

    def test_page_of_an_empty_run_says_what_is_missing(self):
        self.golden("empty")
        self.look("views", {}, "empty.mtk")

    def test_page_shows_stacks_with_source_lines(self):
        self.service()
        self.look("stacks", {})

    def test_page_of_several_processes_has_each_of_them(self):
        report = self.golden("tree")
        counts = []
        stack = [report]
        while stack:
            process = stack.pop(0)
            counts.append(process["totals"]["allocations"])
            stack = process["children"] + stack
        self.look("processes", {"processes": counts}, "tree.mtk")

    # ---- what one can do ----

    def test_page_sorts_sites_by_every_column(self):
        self.service()
        self.look("sorting", {})

    def test_page_filters_sites_by_words_and_expressions(self):
        self.service()
        self.look("filtering", {})

    def test_page_shows_the_heap_of_a_moment(self):
        self.service()
        self.look("moments", {"moments": self.moments()})

    def test_page_shows_what_changed_in_an_interval(self):
        self.service()
        self.look("interval", {"moments": self.moments()})

    def test_page_takes_a_click_into_the_timeline(self):
        self.service()
        self.look("clicking", {})

    def test_page_zooms_and_searches_flame_graphs_of_every_metric(self):
        self.look("flames", self.service())

    def test_page_is_used_by_keyboard(self):
        self.service()
        self.look("keys", {})

    # ---- where it is looked at ----

    def test_page_is_dark_where_the_system_is(self):
        self.service()
        self.look("colours", {})

    def test_page_fits_a_narrow_screen(self):
        self.service()
        self.look("narrow", {})

    def test_page_of_20000_sites_draws_only_what_is_in_sight(self):
        outcome = run([BENCH, "20000", "40", self.path("run.mtk")])
        self.assertEqual(outcome.status, 0, outcome)
        sites = len(self.report()["sites"])
        self.assertGreater(sites, 19000)
        self.look("large", {"sites": sites})
        self.assertLess(os.path.getsize(self.path("page.html")), 5 << 20)

    # ---- what may not happen ----

    def test_page_takes_no_name_for_markup(self):
        self.golden("hostile")
        self.look("hostile", {}, "hostile.mtk")
        with open(self.page("hostile.mtk"), encoding="utf-8") as file:
            text = file.read()
        self.assertEqual(text.count("</script>"), 2)
        self.assertNotIn("src=", text.split("<style>")[0])

    def test_page_never_replaces_the_recording(self):
        self.golden("service")
        before = open(self.path("service.mtk"), "rb").read()
        outcome = run([MEMTRACK, "report", self.path("service.mtk"), "--html",
                       self.path("service.mtk")])
        self.assertEqual(outcome.status, 64, outcome)
        self.assertEqual(outcome.stderr.count(b"\n"), 1)
        self.assertEqual(open(self.path("service.mtk"), "rb").read(), before)

    def test_page_that_cannot_be_written_is_an_error(self):
        self.golden("service")
        for place in ("/nowhere/page.html", "/dev/full"):
            outcome = run([MEMTRACK, "report", self.path("service.mtk"), "--html", place])
            self.assertEqual(outcome.status, 125, outcome)
            self.assertEqual(outcome.stderr.count(b"\n"), 1)


if __name__ == "__main__":
    main()
