/* leaks_plugin.c - a library that leaks.c opens late: its data hold the only pointer. */
static void *global;
static _Thread_local void *local;

void keep_in_global(void *block);
void keep_in_thread_local(void *block);

void keep_in_global(void *block)
{
    global = block;
    __asm__ volatile("" : : "r"(&global) : "memory");
}

void keep_in_thread_local(void *block)
{
    local = block;
    __asm__ volatile("" : : "r"(&local) : "memory");
}
