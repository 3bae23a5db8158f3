/* parser_head.h - the head of a request, once llhttp has found its end.
 *
 * What llhttp lets pass and others could read otherwise is found here; private
 * to parser.c.
 */
#ifndef GPUCOORD_HTTP_PARSER_HEAD_H
#define GPUCOORD_HTTP_PARSER_HEAD_H

#include "http/parser.h"

#include <stdbool.h>
#include <stddef.h>

/* Return the offset of @at in the buffer. */
static inline size_t parser_offset(const struct parser *parser, const char *at)
{
    return (size_t)(at - parser->bytes.data);
}

/* Return the offset behind the head; 0 where its lines are not clear: one that
 * begins with white space folds into the one before, and llhttp takes a bare LF
 * for an empty line; others may read either otherwise. */
size_t parser_head_end(const struct parser *parser);

/* End each header and the parts of the URL with a NUL, over the byte that ended
 * them. */
void parser_head_terminate(struct parser *parser);

/* Say whether the headers that decide who talks to whom, and how long the body
 * is, can be read in one way only. */
bool parser_head_is_clear(const struct parser *parser);

/* Read the URL that a client sends to a proxy, "http://host/path": the host in
 * it goes before the header (RFC 9112, 3.2.2).  It is shifted over the slash in
 * front of it, so that a NUL has room between it and the path.
 *
 * Returns false where the URL is neither that nor a path. */
bool parser_head_split_url(struct parser *parser);

#endif
