#include "census/findings.h"

#define PAGE_MASK UINT64_C(4095)

static size_t sites_bytes(uint32_t stack_end)
{
    return ((size_t)stack_end * sizeof(struct arena_census_site) + 63) & ~(size_t)63;
}

size_t findings_bytes(uint32_t stack_end)
{
    return sites_bytes(stack_end)
           + (size_t)FINDINGS_EDGES_MAX * (sizeof(struct arena_census_edge) + sizeof(uint32_t));
}

void findings_init(struct findings *findings, void *memory, uint32_t stack_end)
{
    *findings = (struct findings){.sites = memory, .site_capacity = stack_end};
    findings->edges =
        (struct arena_census_edge *)(void *)((char *)memory + sites_bytes(stack_end));
    findings->edge_places = (uint32_t *)(void *)(findings->edges + FINDINGS_EDGES_MAX);
}

void findings_add_block(struct findings *findings, uint32_t stack, uint64_t size_bytes,
                        enum arena_leak_class leak_class)
{
    struct arena_census_site *site = findings_site(findings, stack);
    if (site->stack == 0) {
        /* Stored plus one while the table is being filled, so that 0 tells a new entry. */
        site->stack = stack + 1;
        findings->site_count++;
        if (stack >= findings->stack_end) {
            findings->stack_end = stack + 1;
        }
    }
    site->blocks[leak_class]++;
    site->bytes[leak_class] += size_bytes;
}

static bool edge_matches(const struct arena_census_edge *edge, const struct findings_holder *holder,
                         uint32_t stack, bool is_interior)
{
    return edge->kind == holder->kind && edge->holder == holder->holder && edge->stack == stack
           && edge->tid == holder->tid && edge->is_interior == is_interior;
}

static struct arena_census_edge *edge_get(struct findings *findings,
                                          const struct findings_holder *holder, uint32_t stack,
                                          bool is_interior)
{
    uint64_t hash = (holder->holder + 1) * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= ((uint64_t)stack << 8 | holder->kind << 1 | is_interior) * UINT64_C(0xd6e8feb86659fd93);
    hash ^= (uint64_t)(uint32_t)holder->tid * UINT64_C(0xff51afd7ed558ccd);
    hash ^= hash >> 32;
    for (uint32_t i = 0;; i++) {
        struct arena_census_edge *edge =
            &findings->edges[(hash + i) & (FINDINGS_EDGES_MAX - 1)];
        if (edge_matches(edge, holder, stack, is_interior)) {
            return edge;
        }
        if (edge->kind == 0) {
            if (findings->edge_count >= FINDINGS_EDGES_MAX - FINDINGS_EDGES_MAX / 8) {
                return NULL; /* so full that probing would become slow */
            }
            findings->edge_places[findings->edge_count++] = (uint32_t)(edge - findings->edges);
            *edge = (struct arena_census_edge){.stack = stack,
                                               .kind = holder->kind,
                                               .holder = holder->holder,
                                               .tid = holder->tid,
                                               .is_interior = is_interior};
            return edge;
        }
    }
}

void findings_add_edge(struct findings *findings, const struct findings_holder *holder,
                       uint32_t stack, uint64_t size_bytes, bool is_interior)
{
    struct arena_census_edge *edge = findings->last;
    struct findings_holder merged = *holder;
    if (findings->edge_count >= FINDINGS_EDGES_EXACT
        && (holder->kind == ARENA_HOLDER_GLOBAL || holder->kind == ARENA_HOLDER_MAPPING)) {
        findings->edges_merged++;
        merged.holder &= ~PAGE_MASK;
    }
    if (edge == NULL || !edge_matches(edge, &merged, stack, is_interior)) {
        edge = edge_get(findings, &merged, stack, is_interior);
        if (edge == NULL) {
            findings->edges_merged++;
            return;
        }
        findings->last = edge;
    }
    edge->blocks++;
    edge->bytes += size_bytes;
}

void findings_add_reference(struct findings *findings, const struct findings_holder *holder,
                            uint32_t stack)
{
    bool is_site = holder->kind == ARENA_HOLDER_SITE;
    uint64_t key = (uint64_t)stack << 32 | (is_site ? holder->holder + 1 : 0);
    uint64_t *noted = &findings->references[(key * UINT64_C(0x9e3779b97f4a7c15)) >> 54];
    if (*noted == key) {
        return;
    }
    *noted = key;
    struct findings_holder merged = {.kind = is_site ? ARENA_HOLDER_SITE : ARENA_HOLDER_GLOBAL,
                                     .holder = is_site ? holder->holder : 0};
    (void)edge_get(findings, &merged, stack, false);
}
