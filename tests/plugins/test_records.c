/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The readers of published records, on a few lines in their formats.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sets.h"

static char directory[] = "/tmp/costate-stays-XXXXXX";

static void stay(const char *name, const char *text) {
  char path[300];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  if (text)
    set_write_file(path, text, strlen(text));
  else
    unlink(path);
}

static void open_stays(void) {
  strcpy(directory + strlen(directory) - 6, "XXXXXX");
  CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
  stay("132540.txt",
       "Time,Parameter,Value\n00:00,RecordID,132540\n00:00,Age,76\n00:00,Height,-1\n"
       "00:58,HR,60\n01:02,HR,70\n01:02,Temp,36.5\n26:30,HR,90\n");
  stay("132539.txt", "Time,Parameter,Value\n00:00,RecordID,132539\n00:00,Age,54\n00:30,Temp,37\n");
  stay("README", "no record\n");
}

static void close_stays(void) {
  static const char *const names[] = {"132539.txt", "132540.txt", "README", "Outcomes-a.csv"};
  for (size_t i = 0; i < 4; i++) stay(names[i], NULL);
  CU_ASSERT_EQUAL(rmdir(directory), 0);
}

static void stays_are_read(void) {
  open_stays();
  char outcomes[300];
  stay("Outcomes-a.csv",
       "RecordID,SAPS-I,Survival,In-hospital_death\n132540,6,5,1\n1,1,1,0\n132539,16,-1,0\n");
  snprintf(outcomes, sizeof outcomes, "%s/Outcomes-a.csv", directory);
  const cst_given given[] = {TEXT("path", directory), TEXT("outcomes", outcomes)};
  cst_dataset d;
  CU_ASSERT_EQUAL_FATAL(set_build("datasets.physionet", given, 2, 0, &d), CST_OK);
  WORDS(&d, "channels", "Age", "HR", "Temp");
  EXPECT(&d, "id", 132539, 132540);
  EXPECT(&d, "lengths", 2, 3);
  EXPECT(&d, "label", 0, 1);
  EXPECT(&d, "y", 54, 0, 0, 0, 0, 37, 0, 0, 0, 76, 0, 0, 0, 65, 36.5, 0, 90,
         0); /* 0:58 and 1:02 are 1.0 h */
  EXPECT(&d, "mask", 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 1, 0);
  CU_ASSERT_DOUBLE_EQUAL(cst_tensor_get(set_tensor(&d, "t"), 5), 26.5, 1e-12);
  set_check(&d);
  cst_dataset_free(set_ctx, &d);
  const cst_given exact[] = {TEXT("path", directory), TEXT("channels", "Temp,HR"),
                             NUMBER("resolution", 0)};
  CU_ASSERT_EQUAL_FATAL(set_build("datasets.physionet", exact, 3, 0, &d), CST_OK);
  WORDS(&d, "channels", "Temp", "HR");
  EXPECT(&d, "lengths", 1, 3);
  CU_ASSERT_DOUBLE_EQUAL(cst_tensor_get(set_tensor(&d, "t"), 3), 58. / 60, 1e-15);
  cst_dataset_free(set_ctx, &d);
  close_stays();
}

static void stays_are_refused(void) {
  static const struct {
    const char *record, *outcomes, *channel_list, *message;
  } cases[] = {
      {"Time,Parameter,Value\n00:00,RecordID,1\n1:60,HR,1\n", NULL, "",
       ":3: '1:60' is no time HH:MM"},
      {"Time,Parameter,Value\n00:00,RecordID,1\n12,HR,1\n", NULL, "", ":3: '12' is no time HH:MM"},
      {"Time,Parameter,Value\n00:00,RecordID,1\n01:00,HR,x\n", NULL, "", ":3: 'x' is no number"},
      {"Time,Parameter,Value\n00:00,RecordID,1\n01:00,Hr,1\n", NULL, "",
       ":3: 'Hr' is no parameter of the challenge"},
      {"Time,Parameter,Value\n01:00,HR,1\n", NULL, "", "no line gives the RecordID"},
      {"Time,Value\n01:00,1\n", NULL, "", "the columns Time,Parameter,Value are needed"},
      {"Time,Parameter,Value\n00:00,RecordID,1\n00:00,HR,1\n", NULL, "HR,pH",
       "channel 'pH' is never observed"},
      {"Time,Parameter,Value\n00:00,RecordID,1\n00:00,HR,1\n", NULL, "ph",
       "'ph', which is no parameter"},
      {"Time,Parameter,Value\n00:00,RecordID,1\n00:00,HR,1\n", NULL, "HR,HR",
       "'HR', which is there already"},
      {"Time,Parameter,Value\n00:00,RecordID,1\n00:00,HR,1\n",
       "RecordID,In-hospital_death\n132539,0\n2,1\n", "", "has no RecordID 1, that of"},
      {"Time,Parameter,Value\n00:00,RecordID,1\n00:00,HR,1\n",
       "RecordID,In-hospital_death\n1,0\n1,1\n", "", ":3: RecordID 1 is there twice"},
  };
  open_stays();
  char outcomes[300];
  snprintf(outcomes, sizeof outcomes, "%s/Outcomes-a.csv", directory);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const cst_given given[] = {TEXT("path", directory), TEXT("channels", cases[i].channel_list),
                               TEXT("outcomes", outcomes)};
    cst_dataset d;
    stay("132540.txt", cases[i].record);
    if (cases[i].outcomes) stay("Outcomes-a.csv", cases[i].outcomes);
    cst_status st = set_build("datasets.physionet", given, cases[i].outcomes ? 3 : 2, 0, &d);
    CU_ASSERT_NOT_EQUAL(st, CST_OK);
    set_expect_message(cases[i].message);
    cst_dataset_free(set_ctx, &d);
  }
  close_stays();
  const cst_given none[] = {TEXT("path", directory)};
  cst_dataset d;
  CU_ASSERT_EQUAL(set_build("datasets.physionet", none, 1, 0, &d), CST_EIO);
  set_expect_message(directory);
}

/* ---- activity ---- */

static const char walk[] =
    "A01,010-000-024-033,633790226051280329,27.05.2009 14:03:25:127,4.0,1.9,0.5,walking\n"
    "A01,020-000-033-111,633790226051820913,27.05.2009 14:03:25:183,4.2,1.8,1.3,walking\n"
    "A01,020-000-033-111,633790226051821913,27.05.2009 14:03:25:183,4.4,1.8,1.3,falling\n"
    "A01,020-000-032-221,633790226052091205,27.05.2009 14:03:25:210,4.3,1.7,0.9,lying down\n"
    "A02,010-000-030-096,633790226052361498,27.05.2009 14:03:25:237,4.1,1.6,0.1,on all fours\n";

static void activities_are_read(void) {
  cst_dataset d;
  CU_ASSERT_EQUAL(set_read("datasets.activity", walk, sizeof walk - 1, NULL, 0, &d), CST_OK);
  EXPECT(&d, "lengths", 3, 1);
  EXPECT(&d, "id", 1, 2);
  EXPECT(&d, "label", 0, 0, 2, 5, -1, -1); /* the first label at 0.05 s stands */
  CU_ASSERT_EQUAL(set_words(&d, "channels")->n, 12);
  CU_ASSERT_EQUAL(set_words(&d, "classes")->n, 7);
  const cst_tensor *t = set_tensor(&d, "t"), *y = set_tensor(&d, "y");
  static const double times[] = {0, 0.05, 0.08, 0, 0, 0};
  for (size_t i = 0; i < 6; i++) CU_ASSERT_DOUBLE_EQUAL(cst_tensor_get(t, i), times[i], 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(cst_tensor_get(y, 12 + 6), 4.3, 1e-12); /* chest.x, two values averaged */
  EXPECT(&d, "lengths", 3, 1);
  set_check(&d);
  cst_dataset_free(set_ctx, &d);
}

static void activities_are_cut_into_windows(void) {
  const cst_given given[] = {COUNT("window", 2), COUNT("stride", 1)};
  cst_dataset d;
  CU_ASSERT_EQUAL_FATAL(set_read("datasets.activity", walk, sizeof walk - 1, given, 2, &d), CST_OK);
  EXPECT(&d, "lengths", 2, 2, 1);
  EXPECT(&d, "id", 1, 1, 2);
  EXPECT(&d, "label", 0, 0, 0, 2, 5, -1);
  CU_ASSERT_EQUAL(cst_tensor_get(set_tensor(&d, "t"), 2), 0); /* a window starts at 0 */
  CU_ASSERT_DOUBLE_EQUAL(cst_tensor_get(set_tensor(&d, "t"), 3), 0.03, 1e-12);
  cst_dataset_free(set_ctx, &d);
}

static void activities_are_refused(void) {
  static const char *const cases[][2] = {
      {"A,010-000-024-033,1,d,1,2,3,dancing\nA,010-000-024-033,2,d,1,2,3,lying\n",
       ":1: 'dancing' is no activity"},
      {"A,010-000-024-034,1,d,1,2,3,lying\nA,010-000-024-033,2,d,1,2,3,lying\n",
       ":1: '010-000-024-034' is no tag"},
      {"A,010-000-024-033,1,d,1,2,3,lying\nA,010-000-024-033,x,d,1,2,3,lying\n",
       ":2: 'x' is no timestamp"},
      {"A,010-000-024-033,1,d,1,2,,lying\nA,010-000-024-033,2,d,1,2,3,lying\n",
       ":1: '' is no number"},
      {"A,010-000-024-033,1,1,2,3,lying\nA,010-000-024-033,2,1,2,3,lying\n",
       ":1: 7 fields, but a line has"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    cst_dataset d;
    CU_ASSERT_EQUAL(set_read("datasets.activity", cases[i][0], strlen(cases[i][0]), NULL, 0, &d),
                    CST_EIO);
    set_expect_message(cases[i][1]);
    cst_dataset_free(set_ctx, &d);
  }
}

static CU_TestInfo tests[] = {
    {"stays are read", stays_are_read},
    {"stays are refused", stays_are_refused},
    {"activities are read", activities_are_read},
    {"activities are cut into windows", activities_are_cut_into_windows},
    {"activities are refused", activities_are_refused},
    CU_TEST_INFO_NULL,
};

int cst_suite_records(void);
int cst_suite_records(void) {
  CU_SuiteInfo info[] = {{"records", set_open, set_close, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(info) != CUE_SUCCESS;
}
