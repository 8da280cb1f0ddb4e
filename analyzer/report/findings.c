#include "report/findings.h"

const char *finding_rule_name(enum finding_rule rule)
{
    static const char *const names[FINDING_RULES] = {
        "definite-leak", "indirect-leak",   "possible-leak", "reachable-at-exit", "double-free",
        "invalid-free",  "mismatched-free", "growth",        "limit-exceeded",    "incomplete"};
    return names[rule];
}

const char *finding_rule_text(enum finding_rule rule)
{
    static const char *const texts[FINDING_RULES] = {
        "No pointer to the block was left when the program ended.",
        "The block can be reached through lost blocks only.",
        "Only pointers into the middle of the block were left when the program ended.",
        "The block was still reachable when the program ended, and was not released.",
        "A block was released that had been released before.",
        "An address was released that no allocator had handed out.",
        "A block was released by another family of functions than it was allocated by.",
        "The live memory of this place kept growing.",
        "The program used more than its limit.",
        "Something could not be observed, so that the gate cannot be passed."};
    return texts[rule];
}
