-- A memtrack recording, version 1. Documented in docs/recording.md.
-- Times: nanoseconds since the run began. Sizes: bytes. NULL: unknown.

-- Views for people; the tool itself reads tables only. They come first so that the whole
-- schema lies at the file's start: a recording that is cut short still has it.

CREATE VIEW processes AS
  SELECT p.id, p.parent, p.pid,
         CASE p.start WHEN 1 THEN 'exec' WHEN 2 THEN 'fork' WHEN 3 THEN 'attach' END AS started_by,
         p.executable,
         (SELECT group_concat(value, ' ') FROM process_argument a WHERE a.process = p.id)
           AS arguments,
         p.started_ns / 1e9 AS started, p.ended_ns / 1e9 AS ended,
         p.exit_status, p.signal, p.peak_bytes, p.live_bytes, p.live_blocks
  FROM process p;

CREATE VIEW frames AS
  WITH RECURSIVE walk(image, stack, position, node) AS (
    SELECT image, stack, 0, leaf FROM stack WHERE leaf <> 0
    UNION ALL
    SELECT w.image, w.stack, w.position + 1, n.parent
    FROM walk w JOIN node n ON n.image = w.image AND n.node = w.node
    WHERE n.parent <> 0 AND w.position < 4096)
  SELECT w.image, w.stack, w.position, coalesce(s.depth, 0) AS inline_depth,
         f.name AS function, file.path AS file, s.line,
         coalesce(s.is_inlined, 0) AS is_inlined,
         m.path AS module, printf('0x%x', a.offset) AS offset, coalesce(m.kind, 0) AS module_kind
  FROM walk w
  JOIN node n ON n.image = w.image AND n.node = w.node
  JOIN address a ON a.id = n.address
  LEFT JOIN module m ON m.id = a.module
  LEFT JOIN symbol s ON s.address = a.id
  LEFT JOIN function f ON f.id = s.function
  LEFT JOIN file ON file.id = s.file;

-- A site's caller: the function that called the allocator, runtime libraries included.
CREATE VIEW sites AS
  SELECT t.process, t.stack, f.name AS function, file.path AS file, s.line, m.path AS module,
         t.allocations, t.allocated_bytes, t.temporaries,
         t.allocations - t.frees + t.inherited_blocks AS live_blocks,
         t.allocated_bytes - t.freed_bytes + t.inherited_bytes AS live_bytes,
         t.peak_blocks, t.peak_bytes
  FROM site t
  JOIN process p ON p.id = t.process
  LEFT JOIN stack k ON k.image = p.image AND k.stack = t.stack
  LEFT JOIN node n ON n.image = p.image AND n.node = k.leaf
  LEFT JOIN address a ON a.id = n.address
  LEFT JOIN module m ON m.id = a.module
  LEFT JOIN symbol s ON s.address = a.id AND s.depth = 0
  LEFT JOIN function f ON f.id = s.function
  LEFT JOIN file ON file.id = s.file;

CREATE VIEW snapshots AS
  SELECT (SELECT count(*) FROM snapshot o WHERE o.snapshot < s.snapshot) AS "index",
         s.time_ns / 1e9 AS seconds, s.label, s.cause, p.process,
         p.live_bytes, p.live_blocks, p.allocations, p.rss_bytes
  FROM snapshot s JOIN snapshot_process p ON p.snapshot = s.snapshot;

CREATE VIEW timeline AS
  SELECT process, time_ns / 1e9 AS seconds, live_min_bytes, live_bytes, live_max_bytes,
         live_blocks, rss_bytes, allocations, cpu_ns / 1e9 AS cpu_seconds
  FROM point;

CREATE VIEW leaks AS
  SELECT c.process, x.stack, x.definite_blocks, x.definite_bytes, x.indirect_blocks,
         x.indirect_bytes, x.possible_blocks, x.possible_bytes, x.reachable_blocks,
         x.reachable_bytes, t.function, t.file, t.line
  FROM census c
  JOIN census_site x ON x.census = c.census
  LEFT JOIN sites t ON t.process = c.process AND t.stack = x.stack
  WHERE c.is_final = 1;

-- Tables.

CREATE TABLE run (
  key TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE process (
  id INTEGER PRIMARY KEY,
  parent INTEGER, image INTEGER NOT NULL, start INTEGER NOT NULL,
  pid INTEGER, parent_pid INTEGER,
  executable TEXT, working_directory TEXT, allocator TEXT,
  untracked_reason TEXT, arguments_are_cut INTEGER,
  started_ns INTEGER, ended_ns INTEGER,
  exit_status INTEGER, signal INTEGER, was_replaced INTEGER,
  live_bytes INTEGER, live_blocks INTEGER,
  peak_bytes INTEGER, peak_blocks INTEGER, peak_ns INTEGER, peak_rss_bytes INTEGER,
  cpu_user_ns INTEGER, cpu_system_ns INTEGER, minor_faults INTEGER, major_faults INTEGER,
  threads INTEGER,
  dropped_events INTEGER, unknown_stacks INTEGER, approximate_stacks INTEGER,
  cut_stacks INTEGER, cpu_sampling TEXT, cpu_samples_lost INTEGER, cpu_threads_missed INTEGER,
  errors_beyond_table INTEGER,
  own_bytes INTEGER, scan TEXT);

CREATE TABLE process_argument (
  process INTEGER, position INTEGER, value TEXT,
  PRIMARY KEY (process, position)) WITHOUT ROWID;

CREATE TABLE module (
  id INTEGER PRIMARY KEY,
  path TEXT, build_id BLOB, kind INTEGER NOT NULL, debug_info TEXT, hint TEXT);

CREATE TABLE mapping (
  image INTEGER, module INTEGER, start INTEGER, end INTEGER, load_bias INTEGER, epoch INTEGER);
-- For the writer, which adds each once: runs of thousands of images have many.
CREATE INDEX mapping_by_image ON mapping (image, module, start);

CREATE TABLE address (
  id INTEGER PRIMARY KEY,
  module INTEGER NOT NULL, offset INTEGER NOT NULL, is_resolved INTEGER NOT NULL);

CREATE TABLE node (
  image INTEGER, node INTEGER, parent INTEGER NOT NULL, address INTEGER NOT NULL,
  PRIMARY KEY (image, node)) WITHOUT ROWID;

CREATE TABLE stack (
  image INTEGER, stack INTEGER, leaf INTEGER NOT NULL, depth INTEGER NOT NULL,
  flags INTEGER NOT NULL,
  PRIMARY KEY (image, stack)) WITHOUT ROWID;

CREATE TABLE site (
  process INTEGER, stack INTEGER,
  allocations INTEGER NOT NULL, allocated_bytes INTEGER NOT NULL,
  frees INTEGER NOT NULL, freed_bytes INTEGER NOT NULL, temporaries INTEGER NOT NULL,
  peak_blocks INTEGER NOT NULL, peak_bytes INTEGER NOT NULL,
  inherited_blocks INTEGER NOT NULL, inherited_bytes INTEGER NOT NULL,
  PRIMARY KEY (process, stack)) WITHOUT ROWID;

CREATE TABLE site_lifetime (
  process INTEGER, stack INTEGER, bucket INTEGER, frees INTEGER NOT NULL,
  PRIMARY KEY (process, stack, bucket)) WITHOUT ROWID;

CREATE TABLE site_sample (
  process INTEGER, stack INTEGER,
  sampled_allocations INTEGER NOT NULL, sampled_frees INTEGER NOT NULL,
  allocations_variance REAL NOT NULL, allocated_bytes_variance REAL NOT NULL,
  live_blocks_variance REAL NOT NULL, live_bytes_variance REAL NOT NULL,
  PRIMARY KEY (process, stack)) WITHOUT ROWID;

CREATE TABLE thread (
  process INTEGER, thread INTEGER, tid INTEGER, name TEXT, threads_served INTEGER,
  PRIMARY KEY (process, thread)) WITHOUT ROWID;

CREATE TABLE cpu (
  process INTEGER, thread INTEGER, stack INTEGER,
  samples INTEGER NOT NULL, system_samples INTEGER NOT NULL,
  allocator_samples INTEGER NOT NULL, allocator_system_samples INTEGER NOT NULL,
  PRIMARY KEY (process, thread, stack)) WITHOUT ROWID;

CREATE TABLE defect (
  process INTEGER, kind INTEGER, release_stack INTEGER, allocation_stack INTEGER,
  allocated_as TEXT, released_as TEXT, count INTEGER NOT NULL, address INTEGER,
  PRIMARY KEY (process, kind, release_stack, allocation_stack, allocated_as, released_as)
  ) WITHOUT ROWID;

CREATE TABLE snapshot (
  snapshot INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, label TEXT, cause TEXT);

CREATE TABLE snapshot_process (
  snapshot INTEGER, process INTEGER,
  live_bytes INTEGER, live_blocks INTEGER, allocations INTEGER, rss_bytes INTEGER,
  PRIMARY KEY (snapshot, process)) WITHOUT ROWID;

CREATE TABLE snapshot_site (
  snapshot INTEGER, process INTEGER, stack INTEGER,
  allocations INTEGER NOT NULL, allocated_bytes INTEGER NOT NULL,
  frees INTEGER NOT NULL, freed_bytes INTEGER NOT NULL, temporaries INTEGER NOT NULL,
  PRIMARY KEY (snapshot, process, stack)) WITHOUT ROWID;

CREATE TABLE point (
  process INTEGER, time_ns INTEGER,
  live_bytes INTEGER, live_min_bytes INTEGER, live_max_bytes INTEGER, live_blocks INTEGER,
  rss_bytes INTEGER, allocations INTEGER, cpu_ns INTEGER,
  allocator_allocated_bytes INTEGER, allocator_active_bytes INTEGER,
  allocator_metadata_bytes INTEGER, allocator_resident_bytes INTEGER,
  allocator_retained_bytes INTEGER,
  PRIMARY KEY (process, time_ns)) WITHOUT ROWID;

CREATE TABLE census (
  census INTEGER PRIMARY KEY, process INTEGER, snapshot INTEGER, time_ns INTEGER,
  is_final INTEGER, scan TEXT, pause_ns INTEGER, scan_ns INTEGER, remark TEXT);

CREATE TABLE census_site (
  census INTEGER, stack INTEGER,
  definite_blocks INTEGER, definite_bytes INTEGER,
  indirect_blocks INTEGER, indirect_bytes INTEGER,
  possible_blocks INTEGER, possible_bytes INTEGER,
  reachable_blocks INTEGER, reachable_bytes INTEGER,
  ignored_blocks INTEGER, ignored_bytes INTEGER,
  led_blocks INTEGER, led_bytes INTEGER,
  oldest_ns INTEGER, retained_bytes INTEGER, pinned_pages INTEGER, pinned_bytes INTEGER,
  PRIMARY KEY (census, stack)) WITHOUT ROWID;

CREATE TABLE holder (
  census INTEGER, stack INTEGER, chain INTEGER, step INTEGER,
  kind INTEGER NOT NULL, holder_stack INTEGER, address INTEGER, text TEXT,
  blocks INTEGER, bytes INTEGER,
  PRIMARY KEY (census, stack, chain, step)) WITHOUT ROWID;

CREATE TABLE ledger (
  snapshot INTEGER, process INTEGER, item TEXT, bytes INTEGER,
  PRIMARY KEY (snapshot, process, item)) WITHOUT ROWID;

CREATE TABLE suppression (
  position INTEGER PRIMARY KEY, origin TEXT, text TEXT NOT NULL);

CREATE TABLE function (
  id INTEGER PRIMARY KEY, name TEXT, linkage_name TEXT, line INTEGER);

CREATE TABLE file (
  id INTEGER PRIMARY KEY, path TEXT);

CREATE TABLE symbol (
  address INTEGER, depth INTEGER,
  function INTEGER, file INTEGER, line INTEGER, is_inlined INTEGER,
  PRIMARY KEY (address, depth)) WITHOUT ROWID;

CREATE TABLE source_line (
  file INTEGER, line INTEGER, text TEXT,
  PRIMARY KEY (file, line)) WITHOUT ROWID;
