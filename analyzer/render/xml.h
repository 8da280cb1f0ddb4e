/*
 * render/xml.h - text inside XML.
 *
 * Context: analyzer.
 */
#ifndef MEMTRACK_RENDER_XML_H
#define MEMTRACK_RENDER_XML_H

#include <stdio.h>

/* Writes text as XML content or attribute value: markup escaped, what XML 1.0 cannot
 * carry (control characters, invalid UTF-8) replaced. NULL writes nothing. */
void xml_write(FILE *out, const char *text);
/* <name>text</name> and a newline. */
void xml_write_element(FILE *out, const char *name, const char *text);

#endif
