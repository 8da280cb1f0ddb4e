/* Opened and closed by module_table_test. */
const char *module_colour(void);

const char *module_colour(void)
{
    return MODULE_TEST_COLOUR;
}
