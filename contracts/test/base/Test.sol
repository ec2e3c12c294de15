// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Vm} from "./Vm.sol";

Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

/// @notice What every test needs besides the contract it tests.
abstract contract Test {
    /// @dev forge asks a test contract under this name whether it failed.
    bool public constant IS_TEST = true;

    /// @notice `value` moved into `low .. high`, both included; an edge stays an edge.
    function within(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        assert(low <= high);
        if (value >= low && value <= high) return value;
        uint256 size = high - low + 1;
        return size == 0 ? value : low + value % size;
    }

    /// @notice An address with a name in traces.
    function someone(string memory name) internal returns (address account) {
        account = vm.addr(keyOf(name));
        vm.label(account, name);
    }

    function keyOf(string memory name) internal pure returns (uint256) {
        return uint256(keccak256(bytes(name)));
    }
}
