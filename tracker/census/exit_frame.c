#include "census/exit_frame.h"

#include <dlfcn.h>

#include "core/unwind_registers.h"

#define EXIT_FRAMES_MAX 32u

static const void *module_of(uintptr_t address)
{
    struct dl_find_object object;
    return _dl_find_object((void *)address, &object) == 0 // NOLINT(performance-no-int-to-ptr)
               ? object.dlfo_map_start
               : NULL;
}

static bool step(struct unwind_registers *registers, struct unwind_pages *pages)
{
    enum unwind_outcome outcome = unwind_step_registers(registers, pages);
    return outcome == UNWIND_STEPPED;
}

static void take(struct parked_thread *self, const struct unwind_registers *registers)
{
    static const uint8_t kept_by_callees[] = {EH_RBX,     EH_RBP,     EH_R12,
                                              EH_R12 + 1, EH_R12 + 2, EH_R15};
    self->pc = registers->value[EH_RETURN];
    self->sp = registers->value[EH_RSP];
    self->bp = registers->value[EH_RBP];
    for (size_t i = 0; i < sizeof(kept_by_callees); i++) {
        uint8_t number = kept_by_callees[i];
        self->registers[i] = (registers->known & 1u << number) != 0 ? registers->value[number] : 0;
    }
}

void exit_frame_find(const struct capture_origin *origin, uintptr_t libc_function,
                     struct parked_thread *self)
{
    self->pc = origin->pc;
    self->sp = origin->cfa;
    self->bp = origin->rbp;
    self->registers[0] = origin->rbp;

    const void *libc = module_of(libc_function);
    const void *loader = module_of((uintptr_t)&_dl_find_object);
    struct unwind_pages pages = {0};
    struct unwind_registers registers;
    UNWIND_REGISTERS_HERE(registers);
    unsigned frames = 0;
    while (registers.value[EH_RSP] < origin->cfa) {
        if (++frames > EXIT_FRAMES_MAX || !step(&registers, &pages)) {
            return;
        }
    }
    if (registers.value[EH_RSP] != origin->cfa || registers.value[EH_RETURN] != origin->pc) {
        return;
    }
    take(self, &registers);
    for (frames = 0; frames < EXIT_FRAMES_MAX; frames++) {
        const void *module = module_of(registers.value[EH_RETURN] - 1);
        if (module == NULL || (module != libc && module != loader) || !step(&registers, &pages)) {
            break;
        }
        take(self, &registers);
    }
}
