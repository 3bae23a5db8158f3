#include "cli/complain.h"

#include "cli/say.h"

#include <string.h>

/* What to do about @error; "" where there is no advice. */
static const char *advice(int error)
{
    switch (error) {
    case E_STALE:
    case E_REVOKED:
    case E_ENDED:
        return "; somebody else may hold the gpu by now: stop using it and "
               "request it again";
    case E_TIMEOUT:
        return "; 'gpucoord why' says who is in the way";
    case E_DRAINING:
        return "; 'gpucoord undrain' ends it";
    case E_RESTARTING:
    case E_NO_LEADER:
        return "; try again";
    case E_FORBIDDEN:
        return "; use the coordinator's socket";
    default:
        return "";
    }
}

/* Return what @said says beyond the text of @error. */
static const char *detail(const struct api_answer *said, int error)
{
    return strcmp(said->detail, err_text(error)) == 0 ? "" : said->detail;
}

int complain(const struct client_answer *answer, const char *what)
{
    const struct api_answer *said = &answer->said;
    const char *more = detail(said, answer->error);

    if (answer->trouble.size > 0) {
        say("%s: %s", what, buf_string(&answer->trouble));
    } else {
        say("%s: %s%s%s%s%s%s", what, said->field,
            said->field[0] != '\0' ? ": " : "", err_text(answer->error),
            more[0] != '\0' ? ": " : "", more, advice(answer->error));
    }
    return err_exit(answer->error);
}
