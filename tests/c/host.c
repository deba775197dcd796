/* A host that a test controls: it starts the session, says so, and then obeys one word per line. */
#include "vms.h"

static void say(const char *word)
{
    printf("%s\n", word);
    fflush(stdout);
}

/* Waits until all is sent or the sender says why not. */
static void settle(void)
{
    VmsConfig config = { .size = sizeof config };
    char why[512];
    size_t length;
    do {
        CHECK(p_get_config(&config) == VMS_OK);
        CHECK(p_get_text(VMS_TEXT_DELIVERY_FAILURE, why, sizeof why, &length) == VMS_OK);
    } while (config.pending_events > 0 && length == 0);
    say(config.pending_events > 0 ? why : "sent");
}

int main(int count, char **arguments)
{
    char word[64];
    if (count != 2)
        return 2;
    load(arguments[1]);
    VmsSessionInfo info = { .size = sizeof info, .assembly_version = "1.2.3" };
    int32_t begun = p_init_session(&info);
    CHECK(begun == VMS_OK || begun == VMS_OFF);
    say("ready");
    while (scanf("%63s", word) == 1) {
        if (strcmp(word, "settle") == 0)
            settle();
        else if (strcmp(word, "unload") == 0) {
            unload();
            say("unloaded");
        } else if (strcmp(word, "exit") == 0)
            exit(0);
        else
            return 0;
    }
    return 1;
}
