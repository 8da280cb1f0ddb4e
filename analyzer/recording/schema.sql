-- A memtrack recording, version 2. Documented in docs/recording.md.
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

-- Packed tables, row by row: 64 or 256 rows share one, as JSON (docs/recording.md).

CREATE VIEW node AS
  SELECT p.image, p.chunk * 64 + r.key AS node,
         coalesce(r.value ->> 0, 0) AS parent, coalesce(r.value ->> 1, 0) AS address
  FROM packed_node p, json_each(p.data) r WHERE r.type = 'array';

CREATE VIEW stack AS
  SELECT p.image, p.chunk * 64 + r.key AS stack, coalesce(r.value ->> 0, 0) AS leaf,
         coalesce(r.value ->> 1, 0) AS depth, coalesce(r.value ->> 2, 0) AS flags
  FROM packed_stack p, json_each(p.data) r WHERE r.type = 'array';

CREATE VIEW site AS
  SELECT p.process, p.chunk * 256 + (r.value ->> 0) AS stack,
         coalesce(r.value ->> 1, 0) AS allocations, coalesce(r.value ->> 2, 0) AS allocated_bytes,
         coalesce(r.value ->> 1, 0) - coalesce(r.value ->> 3, 0) AS frees,
         coalesce(r.value ->> 2, 0) - coalesce(r.value ->> 4, 0) AS freed_bytes,
         coalesce(r.value ->> 5, 0) AS temporaries,
         coalesce(r.value ->> 6, 0) AS peak_blocks, coalesce(r.value ->> 7, 0) AS peak_bytes,
         coalesce(r.value ->> 8, 0) AS inherited_blocks,
         coalesce(r.value ->> 9, 0) AS inherited_bytes
  FROM packed_site p, json_each(p.data) r;

CREATE VIEW site_lifetime AS
  SELECT p.process, p.chunk * 256 + (r.value ->> 0) AS stack, b.key - 1 AS bucket,
         b.value AS frees
  FROM packed_site_lifetime p, json_each(p.data) r, json_each(r.value) b
  WHERE b.key > 0 AND b.value <> 0;

CREATE VIEW snapshot_site AS
  SELECT p.snapshot, p.process, p.chunk * 256 + (r.value ->> 0) AS stack,
         coalesce(r.value ->> 1, 0) AS allocations, coalesce(r.value ->> 2, 0) AS allocated_bytes,
         coalesce(r.value ->> 1, 0) - coalesce(r.value ->> 3, 0) AS frees,
         coalesce(r.value ->> 2, 0) - coalesce(r.value ->> 4, 0) AS freed_bytes,
         coalesce(r.value ->> 5, 0) AS temporaries
  FROM packed_snapshot_site p, json_each(p.data) r;

-- They look nodes and stacks up in their chunks: a join with the views above would take
-- all chunks apart for each.

CREATE VIEW frames AS
  WITH RECURSIVE walk(image, stack, position, node) AS (
    SELECT s.image, s.stack, 0, n.data -> (s.leaf & 63)
    FROM stack s CROSS JOIN packed_node n ON n.image = s.image AND n.chunk = s.leaf >> 6
    WHERE s.leaf <> 0
    UNION ALL
    SELECT w.image, w.stack, w.position + 1, n.data -> ((w.node ->> 0) & 63)
    FROM walk w JOIN packed_node n ON n.image = w.image AND n.chunk = (w.node ->> 0) >> 6
    WHERE w.node ->> 0 <> 0 AND w.position < 4096)
  SELECT w.image, w.stack, w.position, coalesce(s.depth, 0) AS inline_depth,
         f.name AS function, file.path AS file, s.line,
         coalesce(s.is_inlined, 0) AS is_inlined,
         m.path AS module, printf('0x%x', a.offset) AS offset, coalesce(m.kind, 0) AS module_kind
  FROM walk w
  JOIN address a ON a.id = w.node ->> 1
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
  LEFT JOIN packed_stack k ON k.image = p.image AND k.chunk = t.stack >> 6
  LEFT JOIN packed_node n ON n.image = p.image
                         AND n.chunk = (k.data -> (t.stack & 63) ->> 0) >> 6
  LEFT JOIN address a ON a.id = n.data -> ((k.data -> (t.stack & 63) ->> 0) & 63) ->> 1
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

-- JSON: for each node id from chunk * 64 on [parent, address], or 0 where there is none.
CREATE TABLE packed_node (
  image INTEGER, chunk INTEGER, data TEXT NOT NULL, PRIMARY KEY (image, chunk));

-- For each id from chunk * 64 on [leaf, depth, flags], or 0.
CREATE TABLE packed_stack (
  image INTEGER, chunk INTEGER, data TEXT NOT NULL, PRIMARY KEY (image, chunk));

-- [[stack % 256, allocations, allocated_bytes, allocations - frees,
--   allocated_bytes - freed_bytes, temporaries,
--   peak_blocks, peak_bytes, inherited_blocks, inherited_bytes], ...]
CREATE TABLE packed_site (
  process INTEGER, chunk INTEGER, data TEXT NOT NULL, PRIMARY KEY (process, chunk));

-- [[stack % 256, frees of bucket 0, of bucket 1, ...], ...]
CREATE TABLE packed_site_lifetime (
  process INTEGER, chunk INTEGER, data TEXT NOT NULL, PRIMARY KEY (process, chunk));

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

-- [[stack % 256, allocations, allocated_bytes, allocations - frees,
--   allocated_bytes - freed_bytes, temporaries], ...]
CREATE TABLE packed_snapshot_site (
  process INTEGER, snapshot INTEGER, chunk INTEGER, data TEXT NOT NULL,
  PRIMARY KEY (process, snapshot, chunk));
CREATE INDEX packed_snapshot_site_by_snapshot ON packed_snapshot_site (snapshot);

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
