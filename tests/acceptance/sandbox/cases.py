"""Which test tries which case of the adversarial corpus. NET-24 is about a server that there is not yet."""

from typing import Final

CASES: Final[dict[str, tuple[str, ...]]] = {
    "SHL-01": (
        "test_walls.py::test_nothing_outside_the_granted_folder_is_seen",
        "test_walls.py::test_a_command_that_asks_for_a_file_outside_fails",
        "test_process.py::test_a_command_sees_neither_files_outside_nor_the_engine",
    ),
    "SHL-02": ("test_walls.py::test_nothing_outside_is_written",),
    "SHL-03": (
        "test_walls.py::test_neither_the_engines_environment_nor_its_places_are_told",
        "test_process.py::test_a_command_sees_neither_files_outside_nor_the_engine",
    ),
    "SHL-05": ("test_kernel.py::test_no_socket_leads_anywhere",),
    "SHL-08": (
        "test_kernel.py::test_no_namespace_and_no_mount_can_be_made",
        "test_kernel.py::test_no_program_makes_one_either",
    ),
    "SHL-09": ("test_kernel.py::test_whoever_the_engine_is_a_command_has_no_rights",),
    "SHL-11": (
        "test_staging.py::test_a_repository_keeps_its_hooks_and_settings",
        "test_staging.py::test_a_person_who_says_no_keeps_hooks_out_whatever_the_rules_say",
    ),
    "SHL-12": (
        "test_staging.py::test_no_listed_place_is_changed_by_a_command",
        "test_staging.py::test_no_listed_place_is_changed_however_deep_it_lies_and_is_spelled",
        "test_staging.py::test_a_person_who_says_no_keeps_hooks_out_whatever_the_rules_say",
        "test_process.py::test_what_other_programs_run_is_proposed_and_refused",
    ),
    "SHL-14": (
        "test_staging.py::test_a_second_name_of_a_file_outside_is_never_written_through",
        "test_staging.py::test_a_second_name_that_may_be_read_is_broken_off_by_the_change",
    ),
    "SHL-16": (
        "test_staging.py::test_a_link_made_by_a_command_is_refused_on_record_and_leads_no_file_action_out",
        "test_staging.py::test_what_is_no_file_and_no_folder_does_not_come_out",
        "test_process.py::test_what_other_programs_run_is_proposed_and_refused",
    ),
    "SHL-18": (
        "test_terminal.py::test_nothing_is_typed_and_nothing_is_painted",
        "test_terminal.py::test_looking_at_a_command_later_paints_nothing_either",
        "test_terminal.py::test_keys_pressed_ahead_are_no_answer_to_a_question_about_a_command",
    ),
    "SHL-19": (
        "test_endurance.py::test_nothing_is_left_running",
        "test_endurance.py::test_a_daemon_ends_with_its_command",
        "test_endurance.py::test_nobody_can_be_asked_to_start_something_later",
        "test_process.py::test_what_a_command_leaves_running_and_uses_up_ends_with_it",
    ),
    "SHL-22": (
        "test_endurance.py::test_a_bound_ends_a_command_and_nothing_of_it_is_kept",
        "test_endurance.py::test_output_is_kept_as_far_as_its_bound_and_the_rest_is_counted",
        "test_endurance.py::test_the_real_bounds_hold_and_the_engine_answers_meanwhile",
        "test_endurance.py::test_many_commands_leave_as_little_as_one",
        "test_process.py::test_what_a_command_leaves_running_and_uses_up_ends_with_it",
    ),
    "SHL-25": (
        "test_environment.py::test_no_name_that_a_program_obeys_gets_into_the_environment",
        "test_environment.py::test_no_value_leads_a_library_to_a_file",
        "test_environment.py::test_harmless_names_are_passed_as_they_are",
    ),
    "SHL-26": ("test_environment.py::test_planted_code_runs_at_most_inside",),
    "SHL-27": ("test_environment.py::test_looking_at_a_folder_runs_nothing_that_lies_in_it",),
    "SHL-28": (
        "test_without_a_sandbox.py::test_without_each_of_its_programs_nothing_runs_whatever_the_rules_say",
        "test_without_a_sandbox.py::test_a_program_of_that_name_elsewhere_is_not_taken_for_the_sandbox",
        "test_without_a_sandbox.py::test_the_real_place_of_the_sandbox_holds_something_else",
        "test_without_a_sandbox.py::test_in_a_user_namespace_nobody_can_tell_whose_the_programs_are",
        "test_without_a_sandbox.py::test_a_self_test_that_fails_closes_commands",
    ),
    "SHL-30": (
        "test_process.py::test_no_option_takes_the_sandbox_away",
        "test_process.py::test_no_field_of_a_plan_takes_the_sandbox_away",
        "test_process.py::test_no_rule_setting_or_second_try_takes_the_sandbox_away",
        "test_without_a_sandbox.py::test_a_sandbox_that_goes_between_question_and_answer_runs_nothing",
    ),
    "SHL-31": ("test_environment.py::test_a_working_folder_lies_in_the_granted_one_or_nothing_runs",),
    "NET-01": (
        "test_requests.py::test_a_granted_host_is_asked_and_name_address_port_and_bytes_are_on_record",
        "test_names.py::test_a_granted_name_is_reached_and_nothing_else",
    ),
    "NET-02": (
        "test_requests.py::test_an_empty_list_means_none",
        "test_requests.py::test_no_rule_opens_a_host_that_was_not_granted",
        "test_process.py::test_an_empty_list_of_hosts_means_none",
    ),
    "NET-03": (
        "test_requests.py::test_what_only_looks_like_a_granted_host_is_another_one",
        "test_requests.py::test_case_and_a_trailing_dot_make_no_other_host",
    ),
    "NET-05": (
        "test_requests.py::test_a_host_is_plain_text_before_any_rule_sees_it",
        "test_way_out.py::test_an_odd_target_is_refused_before_anything_is_looked_up",
    ),
    "NET-06": (
        "test_requests.py::test_a_granted_name_that_leads_inside_is_not_dialled",
        "test_names.py::test_a_granted_name_is_reached_and_nothing_else",
    ),
    "NET-08": (
        "test_requests.py::test_a_name_is_looked_up_once_and_what_was_checked_is_dialled",
        "test_requests.py::test_an_address_that_answers_for_another_one_is_let_go",
        "test_way_out.py::test_the_address_that_was_checked_is_dialled_for_each_connection",
    ),
    "NET-10": ("test_requests.py::test_this_machine_is_not_reached_in_any_spelling",),
    "NET-11": (
        "test_requests.py::test_an_answer_that_points_elsewhere_is_data_and_nothing_is_followed",
        "test_requests.py::test_a_chain_ends_at_its_first_link",
    ),
    "NET-13": ("test_requests.py::test_surroundings_neither_redirect_a_request_nor_add_to_it",),
    "NET-14": (
        "test_requests.py::test_an_approved_request_is_that_request_and_no_other",
        "test_requests.py::test_a_host_header_of_ones_own_is_refused",
    ),
    "NET-16": (
        "test_way_out.py::test_only_listed_hosts_are_reached_and_only_by_the_proxy",
        "test_way_out.py::test_curl_gets_through_by_its_proxy_and_not_without",
        "test_way_out.py::test_a_host_that_was_not_granted_is_denied_with_the_command",
        "test_process.py::test_a_command_reaches_what_was_granted_and_asked_for_by_its_proxy_and_nothing_else",
        "test_names.py::test_a_granted_name_is_reached_and_nothing_else",
    ),
    "NET-17": ("test_way_out.py::test_no_name_carries_data_out",),
    "NET-22": (
        "test_way_out.py::test_without_a_proxy_a_command_with_hosts_does_not_start",
        "test_way_out.py::test_a_hand_over_that_fails_starts_nothing",
        "test_way_out.py::test_a_sandbox_that_is_never_ready_starts_nothing",
    ),
    "CNF-06": (
        "test_changes.py::test_a_script_that_was_exchanged_after_it_was_shown_does_not_run",
        "test_changes.py::test_what_runs_is_what_was_shown_however_fast_it_is_exchanged",
    ),
}
