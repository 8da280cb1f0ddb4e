#include "core/eh_frame.h"

#include <dlfcn.h>
#include <string.h>

/* Pointer encodings. Source: LSB 5.0, 10.5.1. */
enum {
    ENCODING_OMIT = 0xff,
    ENCODING_FORMAT = 0x0f,
    ENCODING_APPLICATION = 0x70,
    ENCODING_INDIRECT = 0x80,
    ENCODING_PC_RELATIVE = 0x10,
    ENCODING_DATA_RELATIVE = 0x30,
    ENCODING_TABLE = 0x3b /* data relative, signed 4 bytes: what every linker writes */
};

/* Compilers nest DW_CFA_remember_state twice at most. */
#define REMEMBERED_MAX 4u
#define CIE_BYTES_MAX (1u << 20)

struct saved_rules {
    uint8_t cfa_register;
    struct eh_rule cfa;
    struct eh_rule reg[EH_REGISTERS];
};

struct cie {
    uint64_t code_align;
    int64_t data_align;
    uint8_t pointer_encoding;
    bool has_augmentation_data;
    bool is_signal_frame;
    struct eh_reader program;
};

struct fde {
    uintptr_t start;
    uintptr_t size_bytes;
    struct cie cie;
    struct eh_reader program;
};

uint64_t eh_read_fixed(struct eh_reader *reader, unsigned size_bytes)
{
    uint64_t value = 0;
    if (reader->is_bad || (size_t)(reader->end - reader->at) < size_bytes) {
        reader->is_bad = true;
        return 0;
    }
    memcpy(&value, reader->at, size_bytes);
    reader->at += size_bytes;
    return value;
}

uint64_t eh_read_uleb(struct eh_reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint64_t byte = eh_read_fixed(reader, 1);
        if (shift < 64) {
            value |= (byte & 0x7f) << shift;
        }
        if ((byte & 0x80) == 0) {
            return value;
        }
    }
    reader->is_bad = true;
    return 0;
}

int64_t eh_read_sleb(struct eh_reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint64_t byte = eh_read_fixed(reader, 1);
        if (shift < 64) {
            value |= (byte & 0x7f) << shift;
        }
        if ((byte & 0x80) == 0) {
            if ((byte & 0x40) != 0 && shift + 7 < 64) {
                value |= UINT64_MAX << (shift + 7);
            }
            return (int64_t)value;
        }
    }
    reader->is_bad = true;
    return 0;
}

static void reader_skip(struct eh_reader *reader, uint64_t bytes)
{
    if (reader->is_bad || bytes > (uint64_t)(reader->end - reader->at)) {
        reader->is_bad = true;
        return;
    }
    reader->at += bytes;
}

/* Reads a pointer in `encoding`; data_base is what data-relative ones count from. */
static uintptr_t read_pointer(struct eh_reader *reader, uint8_t encoding, const uint8_t *data_base)
{
    uintptr_t place = (uintptr_t)reader->at;
    uintptr_t value = 0;
    switch (encoding & ENCODING_FORMAT) {
    case 0x00: /* absolute */
    case 0x04:
    case 0x0c:
        value = eh_read_fixed(reader, 8);
        break;
    case 0x01:
        value = eh_read_uleb(reader);
        break;
    case 0x02:
        value = eh_read_fixed(reader, 2);
        break;
    case 0x03:
        value = eh_read_fixed(reader, 4);
        break;
    case 0x09:
        value = (uintptr_t)eh_read_sleb(reader);
        break;
    case 0x0a:
        value = (uintptr_t)(int64_t)(int16_t)eh_read_fixed(reader, 2);
        break;
    case 0x0b:
        value = (uintptr_t)(int64_t)(int32_t)eh_read_fixed(reader, 4);
        break;
    default:
        reader->is_bad = true;
        return 0;
    }
    switch (encoding & ENCODING_APPLICATION) {
    case 0:
        break;
    case ENCODING_PC_RELATIVE:
        value += place;
        break;
    case ENCODING_DATA_RELATIVE:
        value += (uintptr_t)data_base;
        break;
    default:
        reader->is_bad = true;
        return 0;
    }
    return value;
}

/* Reads the length of an entry and narrows *body to it. Returns false at the end of
 * the section or on damage. `*section` moves behind the entry. */
static bool entry_open(struct eh_reader *section, struct eh_reader *body)
{
    uint64_t length = eh_read_fixed(section, 4);
    if (length == 0xffffffffu) {
        length = eh_read_fixed(section, 8);
    }
    if (section->is_bad || length == 0 || length > (uint64_t)(section->end - section->at)) {
        return false;
    }
    *body = (struct eh_reader){.at = section->at, .end = section->at + length};
    section->at += length;
    return true;
}

static bool cie_parse(const struct eh_row *row, const uint8_t *place, struct cie *cie)
{
    if (place < row->base || place >= row->end) {
        return false;
    }
    struct eh_reader section = {.at = place, .end = row->end};
    struct eh_reader body;
    if (!entry_open(&section, &body) || (size_t)(body.end - body.at) > CIE_BYTES_MAX
        || eh_read_fixed(&body, 4) != 0) {
        return false;
    }
    uint64_t version = eh_read_fixed(&body, 1);
    const char *augmentation = (const char *)body.at;
    while (!body.is_bad && eh_read_fixed(&body, 1) != 0) {
    }
    if (body.is_bad || (version != 1 && version != 3)) {
        return false;
    }
    *cie = (struct cie){.pointer_encoding = 0};
    if (augmentation[0] == 'e' && augmentation[1] == 'h') {
        eh_read_fixed(&body, 8);
        augmentation += 2;
    }
    cie->code_align = eh_read_uleb(&body);
    cie->data_align = eh_read_sleb(&body);
    uint64_t return_register = version == 1 ? eh_read_fixed(&body, 1) : eh_read_uleb(&body);
    if (return_register != EH_RETURN) {
        return false;
    }
    if (augmentation[0] != 'z') {
        cie->program = body;
        return !body.is_bad && augmentation[0] == '\0';
    }
    cie->has_augmentation_data = true;
    uint64_t augmentation_bytes = eh_read_uleb(&body);
    struct eh_reader data = body;
    reader_skip(&body, augmentation_bytes);
    for (const char *letter = augmentation + 1; *letter != '\0'; letter++) {
        if (*letter == 'R') {
            cie->pointer_encoding = (uint8_t)eh_read_fixed(&data, 1);
        } else if (*letter == 'P') {
            uint8_t encoding = (uint8_t)eh_read_fixed(&data, 1);
            read_pointer(&data, encoding & (uint8_t)~ENCODING_INDIRECT, NULL);
        } else if (*letter == 'L') {
            eh_read_fixed(&data, 1);
        } else if (*letter == 'S') {
            cie->is_signal_frame = true;
        } else {
            break; /* unknown letters follow the known ones; their data was skipped */
        }
    }
    cie->program = body;
    return !body.is_bad && !data.is_bad;
}

/* Parses the FDE whose length field is at `place`. A CIE there gives false. */
static bool fde_parse(const struct eh_row *row, const uint8_t *place, const uint8_t *data_base,
                      struct fde *fde)
{
    if (place < row->base || place >= row->end) {
        return false;
    }
    struct eh_reader section = {.at = place, .end = row->end};
    struct eh_reader body;
    if (!entry_open(&section, &body)) {
        return false;
    }
    const uint8_t *cie_place = body.at;
    uint64_t cie_distance = eh_read_fixed(&body, 4);
    if (cie_distance == 0 || cie_distance > (uint64_t)(cie_place - row->base)
        || !cie_parse(row, cie_place - cie_distance, &fde->cie)) {
        return false;
    }
    uint8_t encoding = fde->cie.pointer_encoding;
    if ((encoding & ENCODING_INDIRECT) != 0) {
        return false;
    }
    fde->start = read_pointer(&body, encoding, data_base);
    fde->size_bytes = read_pointer(&body, encoding & ENCODING_FORMAT, NULL);
    if (fde->cie.has_augmentation_data) {
        reader_skip(&body, eh_read_uleb(&body));
    }
    fde->program = body;
    return !body.is_bad;
}

/* Binary search in the header's sorted table: {start, FDE}, both relative to it. */
static const uint8_t *table_find(const struct eh_reader *table, uint64_t count,
                                 const uint8_t *header, uintptr_t address)
{
    int64_t wanted = (int64_t)(address - (uintptr_t)header);
    uint64_t low = 0;
    uint64_t high = count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        int32_t start;
        memcpy(&start, table->at + middle * 8, sizeof start);
        if (start <= wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0) {
        return NULL;
    }
    int32_t distance;
    memcpy(&distance, table->at + (low - 1) * 8 + 4, sizeof distance);
    return header + distance;
}

/* Without a table: one entry after another from the start of .eh_frame. */
static bool section_search(const struct eh_row *row, const uint8_t *section_start,
                           const uint8_t *data_base, uintptr_t address, struct fde *fde)
{
    if (section_start < row->base || section_start >= row->end) {
        return false;
    }
    struct eh_reader section = {.at = section_start, .end = row->end};
    for (;;) {
        const uint8_t *place = section.at;
        struct eh_reader body;
        if (!entry_open(&section, &body)) {
            return false;
        }
        if (fde_parse(row, place, data_base, fde) && address - fde->start < fde->size_bytes) {
            return true;
        }
    }
}

static bool fde_find(const struct eh_row *row, const uint8_t *header, uintptr_t address,
                     struct fde *fde)
{
    struct eh_reader reader = {.at = header, .end = row->end};
    uint64_t version = eh_read_fixed(&reader, 1);
    uint8_t frame_encoding = (uint8_t)eh_read_fixed(&reader, 1);
    uint8_t count_encoding = (uint8_t)eh_read_fixed(&reader, 1);
    uint8_t table_encoding = (uint8_t)eh_read_fixed(&reader, 1);
    uintptr_t section = read_pointer(&reader, frame_encoding, header);
    if (reader.is_bad || version != 1) {
        return false;
    }
    if (count_encoding == ENCODING_OMIT || table_encoding != ENCODING_TABLE) {
        return section_search(row, (const uint8_t *)section, header, address, fde);
    }
    uint64_t count = read_pointer(&reader, count_encoding, header);
    if (reader.is_bad || count > (uint64_t)(reader.end - reader.at) / 8) {
        return false;
    }
    const uint8_t *place = table_find(&reader, count, header, address);
    return place != NULL && fde_parse(row, place, header, fde)
           && address - fde->start < fde->size_bytes;
}

static void rule_set(struct eh_row *row, struct eh_reader *program, uint64_t number,
                     enum eh_rule_kind kind, int64_t offset)
{
    if (offset != (int32_t)offset) {
        program->is_bad = true;
        return;
    }
    if (number < EH_REGISTERS) { /* vector registers do not matter here */
        row->reg[number] = (struct eh_rule){.kind = (uint32_t)kind, .offset = (int32_t)offset};
    }
}

static void cfa_set(struct eh_row *row, struct eh_reader *program, uint64_t number, int64_t offset)
{
    if (number >= EH_REGISTERS || offset != (int32_t)offset) {
        program->is_bad = true;
        return;
    }
    row->cfa_register = (uint8_t)number;
    row->cfa = (struct eh_rule){.kind = EH_REGISTER, .offset = (int32_t)offset};
}

/* Notes where the expression starts (at its length) and skips it. */
static int64_t expression_skip(struct eh_row *row, struct eh_reader *program)
{
    int64_t offset = program->at - row->base;
    reader_skip(program, eh_read_uleb(program));
    return offset;
}

/* The state of a CFA program between two instructions. */
struct interpreter {
    struct eh_row *row;
    const struct cie *cie;
    const struct saved_rules *initial; /* NULL while the CIE's own program runs */
    uintptr_t location;
    unsigned remembered_count;
    struct saved_rules remembered[REMEMBERED_MAX];
};

static void rules_save(const struct eh_row *row, struct saved_rules *saved)
{
    saved->cfa_register = row->cfa_register;
    saved->cfa = row->cfa;
    memcpy(saved->reg, row->reg, sizeof saved->reg);
}

static void rule_restore(struct interpreter *run, struct eh_reader *program, uint64_t number)
{
    if (run->initial == NULL) {
        program->is_bad = true;
    } else if (number < EH_REGISTERS) {
        run->row->reg[number] = run->initial->reg[number];
    }
}

static void state_remember(struct interpreter *run, struct eh_reader *program)
{
    if (run->remembered_count == REMEMBERED_MAX) {
        program->is_bad = true;
        return;
    }
    rules_save(run->row, &run->remembered[run->remembered_count++]);
}

static void state_recall(struct interpreter *run, struct eh_reader *program)
{
    if (run->remembered_count == 0) {
        program->is_bad = true;
        return;
    }
    const struct saved_rules *saved = &run->remembered[--run->remembered_count];
    run->row->cfa_register = saved->cfa_register;
    run->row->cfa = saved->cfa;
    memcpy(run->row->reg, saved->reg, sizeof saved->reg);
}

/* Instructions about one register or the CFA. Returns false for an unknown one. */
static bool rule_instruction(struct interpreter *run, struct eh_reader *program, uint8_t opcode)
{
    struct eh_row *row = run->row;
    int64_t data_align = run->cie->data_align;
    uint64_t number = 0;
    if (opcode != 0x0e && opcode != 0x0f && opcode != 0x13 && opcode != 0x2e) {
        number = eh_read_uleb(program);
    }
    switch (opcode) {
    case 0x05: /* offset_extended */
        rule_set(row, program, number, EH_OFFSET, (int64_t)eh_read_uleb(program) * data_align);
        return true;
    case 0x06: /* restore_extended */
        rule_restore(run, program, number);
        return true;
    case 0x07: /* undefined */
        rule_set(row, program, number, EH_UNDEFINED, 0);
        return true;
    case 0x08: /* same_value */
        rule_set(row, program, number, EH_SAME, 0);
        return true;
    case 0x09: /* register */
        rule_set(row, program, number, EH_REGISTER, (int64_t)eh_read_uleb(program));
        return true;
    case 0x0c: /* def_cfa */
        cfa_set(row, program, number, (int64_t)eh_read_uleb(program));
        return true;
    case 0x0d: /* def_cfa_register */
        cfa_set(row, program, number, row->cfa.offset);
        return true;
    case 0x0e: /* def_cfa_offset */
        cfa_set(row, program, row->cfa_register, (int64_t)eh_read_uleb(program));
        return true;
    case 0x0f: /* def_cfa_expression */
        row->cfa.offset = (int32_t)expression_skip(row, program);
        row->cfa.kind = EH_EXPRESSION;
        return true;
    case 0x10: /* expression */
        rule_set(row, program, number, EH_EXPRESSION, expression_skip(row, program));
        return true;
    case 0x11: /* offset_extended_sf */
        rule_set(row, program, number, EH_OFFSET, eh_read_sleb(program) * data_align);
        return true;
    case 0x12: /* def_cfa_sf */
        cfa_set(row, program, number, eh_read_sleb(program) * data_align);
        return true;
    case 0x13: /* def_cfa_offset_sf */
        cfa_set(row, program, row->cfa_register, eh_read_sleb(program) * data_align);
        return true;
    case 0x14: /* val_offset */
        rule_set(row, program, number, EH_VALUE_OFFSET,
                 (int64_t)eh_read_uleb(program) * data_align);
        return true;
    case 0x15: /* val_offset_sf */
        rule_set(row, program, number, EH_VALUE_OFFSET, eh_read_sleb(program) * data_align);
        return true;
    case 0x16: /* val_expression */
        rule_set(row, program, number, EH_VALUE_EXPRESSION, expression_skip(row, program));
        return true;
    case 0x2e: /* GNU_args_size: what a call has pushed; the CFA offset knows it already */
        eh_read_uleb(program);
        return true;
    case 0x2f: /* GNU_negative_offset_extended */
        rule_set(row, program, number, EH_OFFSET, -(int64_t)eh_read_uleb(program) * data_align);
        return true;
    default:
        return false;
    }
}

/* Runs a program up to `address` (inclusive). Returns false on damage. */
static bool program_run(struct interpreter *run, struct eh_reader program, uintptr_t address)
{
    while (program.at < program.end && !program.is_bad) {
        uint8_t opcode = (uint8_t)eh_read_fixed(&program, 1);
        uint8_t operand = opcode & 0x3f;
        uint64_t advance = 0;
        switch (opcode & 0xc0) {
        case 0x40:
            advance = operand;
            break;
        case 0x80:
            rule_set(run->row, &program, operand, EH_OFFSET,
                     (int64_t)eh_read_uleb(&program) * run->cie->data_align);
            continue;
        case 0xc0:
            rule_restore(run, &program, operand);
            continue;
        default:
            if (opcode == 0x00) { /* nop */
                continue;
            } else if (opcode == 0x01) { /* set_loc */
                uintptr_t location = read_pointer(&program, run->cie->pointer_encoding, NULL);
                if (location > address) {
                    return !program.is_bad;
                }
                run->location = location;
                continue;
            } else if (opcode >= 0x02 && opcode <= 0x04) { /* advance_loc1, 2, 4 */
                advance = eh_read_fixed(&program, 1u << (opcode - 2));
            } else if (opcode == 0x0a) {
                state_remember(run, &program);
                continue;
            } else if (opcode == 0x0b) {
                state_recall(run, &program);
                continue;
            } else if (rule_instruction(run, &program, opcode)) {
                continue;
            } else {
                return false;
            }
        }
        run->location += advance * run->cie->code_align;
        if (run->location > address) {
            return !program.is_bad;
        }
    }
    return !program.is_bad;
}

enum eh_result eh_frame_row_in(const uint8_t *base, const uint8_t *end, const uint8_t *header,
                               uintptr_t address, struct eh_row *row)
{
    struct fde fde;
    struct saved_rules initial;
    struct interpreter run = {.row = row, .cie = &fde.cie};

    memset(row, 0, sizeof *row);
    row->base = base;
    row->end = end;
    if (header < base || header >= end || end - base > INT32_MAX
        || !fde_find(row, header, address, &fde)) {
        return EH_NO_ENTRY;
    }
    row->is_signal_frame = fde.cie.is_signal_frame;
    row->start = fde.start;
    run.location = fde.start;
    if (!program_run(&run, fde.cie.program, UINTPTR_MAX)) {
        return EH_BAD;
    }
    rules_save(row, &initial);
    run.initial = &initial;
    run.location = fde.start;
    if (!program_run(&run, fde.program, address)) {
        return EH_BAD;
    }
    return EH_FOUND;
}

/* Where a file's segments are far apart, glibc names the one with the code only. Then the
 * bounds are as wide as 32-bit offsets reach: what the linker wrote has to be trusted. */
static void section_bounds(const uint8_t *header, const uint8_t **start, const uint8_t **end)
{
    struct eh_reader reader = {.at = header, .end = header + 16};
    uint8_t encoding = (uint8_t)(eh_read_fixed(&reader, 2) >> 8);
    eh_read_fixed(&reader, 2);
    const uint8_t *section = (const uint8_t *)read_pointer(&reader, encoding, header);
    *start = section < header && !reader.is_bad ? section : header;
    *end = *start + INT32_MAX;
}

enum eh_result eh_frame_row(uintptr_t address, struct eh_row *row)
{
    struct dl_find_object object;
    if (_dl_find_object((void *)address, &object) != 0) {
        return EH_NO_MODULE;
    }
    if (object.dlfo_eh_frame == NULL) {
        return EH_NO_ENTRY;
    }
    const uint8_t *start = object.dlfo_map_start;
    const uint8_t *end = object.dlfo_map_end;
    const uint8_t *header = object.dlfo_eh_frame;
    if (header < start || header >= end) {
        section_bounds(header, &start, &end);
    }
    return eh_frame_row_in(start, end, header, address, row);
}

struct eh_reader eh_row_expression(const struct eh_row *row, const struct eh_rule *rule)
{
    struct eh_reader reader = {.at = row->base + rule->offset, .end = row->end};
    if (rule->offset < 0 || reader.at >= row->end) {
        reader.is_bad = true;
        return reader;
    }
    uint64_t length = eh_read_uleb(&reader);
    if (reader.is_bad || length > (uint64_t)(reader.end - reader.at)) {
        reader.is_bad = true;
        return reader;
    }
    reader.end = reader.at + length;
    return reader;
}
