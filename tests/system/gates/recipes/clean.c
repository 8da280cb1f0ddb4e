#include <stdlib.h>

int main(void)
{
    free(malloc(48));
    return 0;
}
