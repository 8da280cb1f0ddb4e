#include "core/stack_table.h"
