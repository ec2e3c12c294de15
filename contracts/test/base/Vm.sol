// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice The few words of forge that our tests say. forge-std is not published where npm looks, and has
/// thousands of lines that we would have to trust.
interface Vm {
    /// @notice Gas of one call; under isolation it is that of a whole transaction.
    struct Gas {
        uint64 gasLimit;
        uint64 gasTotalUsed;
        uint64 gasMemoryUsed;
        int64 gasRefunded;
        uint64 gasRemaining;
    }

    function addr(uint256 key) external pure returns (address);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function warp(uint256 timestamp) external;
    function roll(uint256 number) external;
    function prank(address sender) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function assume(bool holds) external pure;
    function chainId(uint256 id) external;
    function deployCode(string calldata what) external returns (address);
    function deployCode(string calldata what, bytes calldata arguments) external returns (address);
    function etch(address target, bytes calldata code) external;
    function store(address target, bytes32 slot, bytes32 value) external;
    function label(address target, string calldata name) external;
    function toString(bytes calldata value) external pure returns (string memory);
    function expectRevert(bytes calldata data) external;
    function expectPartialRevert(bytes4 selector) external;
    function expectEmit(bool topic1, bool topic2, bool topic3, bool data, address emitter) external;
    function lastCallGas() external view returns (Gas memory);
    function snapshotState() external returns (uint256 id);
    function revertToState(uint256 id) external returns (bool);
    function assertTrue(bool value, string calldata why) external pure;
    function assertEq(uint256 left, uint256 right, string calldata why) external pure;
    function assertEq(bytes32 left, bytes32 right, string calldata why) external pure;
    function assertEq(address left, address right, string calldata why) external pure;
    function assertEq(bytes calldata left, bytes calldata right, string calldata why) external pure;
    function assertLe(uint256 left, uint256 right, string calldata why) external pure;
}
